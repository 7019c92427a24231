"""The checker of array shapes under a plain name: jaxtyping's pytest option takes several rooms only so."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
