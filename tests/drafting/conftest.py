"""The fixtures of the command line, which these tests go through too."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

_spec = spec_from_file_location("fixtures_of_cli", Path(__file__).parents[1] / "cli" / "conftest.py")
assert _spec is not None and _spec.loader is not None
_cli = module_from_spec(_spec)
_spec.loader.exec_module(_cli)

command, film, recipe, run = _cli.command, _cli.film, _cli.recipe, _cli.run
environment, radflow, taught = _cli.environment, _cli.radflow, _cli.taught
fake, loopback_only, _socket_watch = _cli.fake, _cli.loopback_only, _cli._socket_watch
