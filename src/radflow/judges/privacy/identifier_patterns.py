"""The patterns of :func:`radflow.judges.privacy.identifiers.find_identifiers`: one row per way of writing.

Every repetition is bounded or possessive (``++``), so no text makes them slow. The group ``id`` is the
identifier; what is around it is its cue. No ``id`` holds a bracket, so a mask is never part of another one.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Literal

Kind = Literal["name", "address", "date", "age", "phone", "email", "ssn", "record", "url", "ip"]

_LETTERS = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """One way of writing one kind of identifier.

    Attributes:
        kind: what it finds.
        written: the regular expression; its group ``id`` is the identifier.
        needs: what a text must have for it, or the pattern cannot match: most texts are done with that.
        words: one of these must be in the text, in small letters; ``None`` asks for none.
    """

    kind: Kind
    written: str
    needs: re.Pattern[str]
    words: frozenset[str] | None = None

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """``written``, compiled for the first text that may match: all of them take half a second."""
        return re.compile(self.written)


_WORDS: dict[str, list[str]] = tomllib.loads(
    files("radflow.judges.privacy").joinpath("identifiers.toml").read_text("utf-8")
)


def _any_of(words: Iterable[str]) -> str:
    longest_first = sorted(sorted(words), key=len, reverse=True)
    return "(?:" + "|".join(re.escape(word).replace(r"\ ", r"\s{1,2}") for word in longest_first) + ")"


def _listed(name: str) -> str:
    return _any_of(_WORDS[name])


_START = r"(?<![^\W_])"  # not inside a word or a number
_END = r"(?![^\W_])"

# Names: after a title any word that is not known to be none; elsewhere the capital tells a name from a word.
_BOTH_CASES = [form for word in _WORDS["not_names_unless_capitalised"] for form in (word, word.upper())]
_STOP = rf"(?!(?:(?i:{_listed('not_names')}|X{{3,}})|{_any_of(_BOTH_CASES)}){_END})"
_LETTER = r"[^\W\d_]"
_CAPITAL = r"[A-ZÀ-ÖØ-ÞĀĂĄĆČĎĐĒĘĚĞĪİŁŃŇŌŐŘŚŞŠŤŪŮŰŹŻŽΑ-ΩА-Я\u3400-\u9fff\uac00-\ud7a3]"
_REST = rf"(?:{_LETTER}|['’-](?={_LETTER}))*+"
_PARTICLE = (
    r"(?:(?i:van|von|der|den|de|del|della|la|le|da|dos|di|du|bin|ibn|al|el|st\.?|ter|ten)[ -]{1,2}){0,3}+"
)
_WORD = rf"(?:{_STOP}{_PARTICLE}{_STOP}{_CAPITAL}(?:\.|{_REST}))"
_GAP = r"(?:\s{1,2}|\^|(?<=\.))"
_MORE = rf"(?:{_GAP}{_WORD}){{0,3}}"
_AND = r"(?:,\s{0,2}(?:and\s{1,2})?|\s{1,2}(?:and|&|or)\s{1,2}|\s?/\s?)"
_ANY_CASE = rf"{_STOP}{_PARTICLE}{_STOP}{_LETTER}(?:\.|{_REST}){_MORE}"
_LAST_FIRST = rf"{_WORD}(?:(?:,\s?|{_GAP}){_WORD}){{0,3}}"
_PEOPLE = rf"{_LAST_FIRST}(?:{_AND}{_WORD}{_MORE}){{0,3}}"
_TITLE = rf"(?i:{_any_of(_WORDS['titles'] + _WORDS['plural_titles'])}){_END}\.?\s{{0,3}}"
_OPEN_CUES = _any_of(cue for cue in _WORDS["cues"] if cue not in _WORDS["colon_cues"])

_TITLED = (
    rf"{_START}(?i:{_listed('titles')}){_END}(?:\.\s{{0,3}}|\s{{1,3}})(?P<id>{_ANY_CASE})",
    rf"{_START}{_listed('titles_as_written')}(?:(?<=\.)|{_END})\s{{1,3}}(?P<id>{_WORD}{_MORE})",
    rf"{_START}(?i:{_listed('plural_titles')}){_END}\.?\s{{1,3}}(?P<id>{_WORD}{_MORE}"
    rf"(?:{_AND}{_WORD}{_MORE}){{0,4}})",
)
_CUED = (
    rf"{_START}(?i:{_OPEN_CUES}){_END}(?:\s{{0,2}}[:=-]\s{{0,3}}|\s{{1,3}})(?:{_TITLE})?(?P<id>{_PEOPLE})",
    rf"{_START}(?i:{_listed('colon_cues')})(?i:\(?s\)?)?\s{{0,2}}[:=(]\s{{0,3}}(?:{_TITLE})?"
    rf"(?P<id>{_PEOPLE})",
)
_DEGREE = (
    rf"{_START}(?P<id>{_WORD}(?:,?{_GAP}{_WORD}){{0,3}})(?:,?\s{{1,2}}{_listed('degrees')}"
    rf"|,\s{{0,2}}DO){_END}"
)

# A relative or someone of the staff, then the name without a colon: "wife, Susan Miller", "pt John Doe". In a
# sentence the capitals tell the name; at its beginning and in capitals a comma or what follows has to help.
_SURE = rf"(?!{_listed('eponyms')}{_END})"
_FULL = rf"(?:{_SURE}{_WORD}(?:{_GAP}{_WORD}){{1,3}})"
_ENDS = r"(?=[.,;:)!?]|\s{1,2}[a-z(]|\s?\Z)"
_BESIDE = (
    rf"{_START}{_listed('relatives')},?\s{{1,2}}(?P<id>{_SURE}{_WORD}{_MORE})",
    rf"{_START}(?i:{_listed('relatives')}),\s{{1,2}}(?P<id>{_FULL})",
    rf"{_START}{_listed('persons')},?\s{{1,2}}(?P<id>{_FULL})",
    rf"{_START}(?i:{_listed('relatives')}|{_listed('persons')}),?\s{{1,2}}"
    rf"(?P<id>{_SURE}(?:{_WORD}{_GAP}){{1,2}}{_STOP}{_CAPITAL}(?:[a-zà-ÿ]|['’-](?={_LETTER})){{1,30}}+){_ENDS}",
)

# Dates: a year alone is no identifier (164.514(b)(2)(i)(C)); nor is a fraction, a ratio or a measurement.
_YEAR = r"(?:19|20|21)\d\d"
_YEAR2 = rf"(?:{_YEAR}|['’]?\d\d(?!\d))"
_DAY = r"(?:3[01]|[12]\d|0?[1-9])"
_MONTH = r"(?:1[0-2]|0?[1-9])"
_ORDINAL = r"(?i:st|nd|rd|th)?"
_NO_UNIT = r"(?!\s?(?:mm|cm|%|x\s?\d))"
_CLOCK = (
    r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d{1,6})?)?(?:\s?(?i:[ap]\.?m\b\.?))?(?:\s?(?:Z\b|UTC"
    r"|[+-]\d\d:?\d\d))?"
)
_TIME = (
    rf"(?:{_CLOCK}(?:\s?(?i:hours|hrs?)\b)?|\d{{1,2}}\s?(?i:[ap]\.?m\b\.?)|[0-2]\d[0-5]\d\s?(?i:hours"
    rf"|hrs?|h)\b)"
)
_WEEKDAY = rf"{_START}(?i:{_listed('weekdays')})\.?,?\s{{1,2}}(?:(?i:the)\s)?"
_BEFORE = rf"(?:{_WEEKDAY})?(?:(?<!\d){_TIME}(?:,|\s)\s?(?:(?i:on)\s{{1,2}}(?:the\s)?)?)?"
_AFTER = (
    rf"(?:(?:[T_,]|,?\s{{1,2}}(?:(?i:at|@|time:?)\s{{0,2}})?){_TIME}|,?\s{{1,2}}(?i:at"
    rf"|@)\s{{0,2}}[0-2]\d[0-5]\d\b)?"
)
_LONG_MONTH = r"(?i:January|February|April|June|July|August|September|October|November|December)"
_UNLIKE_MAY = (
    r"(?i:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct"
    r"(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
)
_NOT_MODAL = (
    r"(?!\s+(?i:be|have|represent|reflect|suggest|indicate|relate|also|not|still|just|well|correspond"
    r"|appear|simply|account|contain|cause|need|require|merely|obscure|mimic|partially|result|include"
    r"|lie|project|demonstrate|show)\b)"
)
_NAMED = rf"(?:(?:{_UNLIKE_MAY}|(?:May|MAY){_NOT_MODAL})(?!{_LETTER})\.?)"
_DATE_CUE = (
    r"(?i:on|dated?|since|until|till|comparisons?|compared\s(?:to|with)|prior|previous|stud(?:y|ies)"
    r"|exam|examination|radiographs?|films?|x-?rays?|CT|MRI|visit|from|admitted|performed|seen"
    r"|through)"
)

_NUMERIC_DATES = (
    rf"(?<!\d)(?<!rib )(?<!ribs ){_DAY}\s?(?P<sep>[/.-])\s?{_DAY}\s?(?P=sep)\s?{_YEAR2}{_NO_UNIT}",
    rf"(?<!\d){_YEAR}(?P<sep>[/.-]){_MONTH}(?P=sep){_DAY}(?!\d)",
    r"(?<!\d)(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?!\d)",
    rf"(?<!\d){_MONTH}\s?[/-]\s?{_YEAR}(?!\d)",
)
_NAMED_DATES = (
    rf"{_START}{_NAMED}[\s-]{{0,2}}{_DAY}{_ORDINAL}(?!\d)(?!\.\d){_NO_UNIT}(?:(?:,\s{{0,2}}"
    rf"|[\s/-]{{1,2}}){_YEAR2}{_NO_UNIT})?",
    rf"{_START}{_DAY}{_ORDINAL}[\s.-]{{0,2}}(?:(?:day\s)?of\s{{1,2}})?{_NAMED}"
    rf"(?:[\s,.-]{{0,3}}{_YEAR2}{_NO_UNIT})?",
    rf"{_START}{_NAMED},?[\s/-]{{0,2}}(?:of\s{{1,2}})?(?:{_YEAR}|['’]\d\d)(?!\d)",
    rf"(?<!\d){_YEAR}[\s-]{_NAMED}[\s-]{_DAY}(?!\d)",
)
_WEEKDAY_DATE = rf"(?P<id>{_WEEKDAY}(?:{_DAY}/{_DAY}|{_DAY}(?i:st|nd|rd|th)){_AFTER})(?![\d/]){_NO_UNIT}"
_OF = r"(?:(?i:del?|d['’])\s{0,2})?"
_DATES_ELSEWHERE = (
    rf"(?<!\d){_DAY}(?:\.|º|er)?\s{{0,2}}{_OF}(?i:{_listed('months_elsewhere')})(?!{_LETTER})\.?"
    rf"(?:,?\s{{1,2}}{_OF}{_YEAR})?",
    rf"{_START}(?i:{_listed('months_elsewhere')})\s{{1,2}}{_OF}{_YEAR}(?!\d)",
)
_DATES_OF_ASIA = (
    r"(?P<id>(?:(?:19|20)?\d\d\s?[年년]\s?)?\d{1,2}\s?[月월]\s?\d{1,2}\s?[日号號일])",
    r"(?P<id>(?:19|20)\d\d\s?[年년]\s?\d{1,2}\s?[月월])",
)
_CUED_DATE = (
    rf"{_START}{_DATE_CUE}{_END}[\s:,(]{{0,3}}(?:(?:of|from|on|dated|was)[\s:]{{1,2}})?"
    rf"(?P<id>{_DAY}/{_DAY}(?:\s(?:and|&)\s{_DAY}/{_DAY})?{_AFTER})(?![\d/]){_NO_UNIT}"
)
_DATE_BEFORE_CUE = (
    rf"(?<![\d/])(?P<id>{_DAY}/{_DAY})(?=\s(?i:stud(?:y|ies)|exams?|examination|radiographs?|films?|x-?rays?|CT|MRI"
    rf"|visit)\b)"
)
_MONTHS = (
    rf"{_START}(?P<id>{_LONG_MONTH}){_END}",
    rf"{_START}(?i:in|since|last|from|until|till|through|by|early|late|mid|of|during|this|next)[\s-]"
    rf"(?P<id>(?:March|MARCH|(?:May|MAY){_NOT_MODAL}|{_UNLIKE_MAY.replace('?i:', '?:', 1)}\.?)){_END}",
)

# Ages over 89.
_OLD = r"(?:9\d|1[0-4]\d)"
_UNITS = r"[ -]?(?i:one|two|three|four|five|six|seven|eight|nine)"
_AGES = (
    rf"(?<![\d.])(?P<id>{_OLD})(?=[\s-]{{0,2}}(?i:years?|yrs?|y[\s./-]{{0,2}}o|y[\s./-]?[mf]\b|y\b))",
    rf"{_START}(?i:aged?)(?i:\s(?:of|is))?[\s:=]{{1,3}}(?P<id>{_OLD})(?!\d)(?!\s?(?i:days?|weeks?"
    rf"|months?|hours?))",
    rf"(?<![\d./-])(?P<id>{_OLD})(?=[ -]?(?:[MF]|(?i:male|female|man|woman))\b)",
    r"(?i:\bin (?:his|her|their) (?:mid-?\s?|early |late )?)(?P<id>90['’]?s)\b",
)
_SPELLED_AGES = (
    rf"{_START}(?P<id>(?i:ninety(?:{_UNITS})?|(?:one |a )?hundred(?:[ -](?:and )?"
    rf"(?:{_UNITS.removeprefix('[ -]?')}))?))(?=[\s-]{{1,2}}(?i:years?|yrs?))"
)
_VERY_OLD = rf"{_START}(?P<id>(?i:nonagenarian|(?:super)?centenarian|nineties)){_END}"

# Telephones.
_DASH = r"[-–.\s]"
_EXTENSION = r"(?:,?\s{0,2}(?i:x|ext\.?|extension)\s{0,2}\d{1,6})?"
_PHONES = (
    rf"(?<!\d)(?P<id>(?:(?:\+1|1(?=[-–.\s(])){_DASH}{{0,2}})?(?:\(\d{{3}}\){_DASH}{{0,2}}|\d{{3}}"
    rf"(?:{_DASH}{{1,2}}|/))\d{{3}}{_DASH}{{1,2}}\d{{4}}(?!\d){_EXTENSION})",
    rf"(?<![\d-])(?P<id>\d{{3}}[-–]\d{{4}}(?![\d-]){_EXTENSION})",
)
_INTERNATIONAL = r"(?P<id>\+(?=(?:[\s().-]{0,2}\d){8})\d{1,3}(?:[\s().-]{0,2}\d){5,14}+)"
# A number that begins with 0 is dialled within its country: 030 1234567, 06 12 34 56 78, 0049 30 1234567.
_NATIONAL_PHONE = (
    r"(?<![\d.,])(?P<id>\(?0(?=(?:[ ()/-]{0,3}\d){8})\d{1,4}(?:[ ()/-]{1,3}\d{2,8}){1,6}+)(?![\d.]\d)"
)
_CUED_PHONE = (
    rf"{_START}(?i:{_listed('phones')})\b\.?(?i:\s(?:number|no\.?|at|line|is|me at"
    rf"|us at)){{0,2}}[\s:.#=]{{0,4}}(?P<id>[+(]?\d"
    rf"(?:[().\s/–-]{{0,2}}\d){{2,14}}+{_EXTENSION}){_NO_UNIT}"
)

# Numbers of records, accounts, devices.
_PIECE = r"[A-Za-z\d](?:[A-Za-z\d]|[./_-](?=[A-Za-z\d]))*+(?:\s\d{2,5}(?!\d))*+"
_VALUES = rf"{_PIECE}(?:(?:,\s?|\s(?:and|&)\s)\d{{4,12}}(?!\d)){{0,4}}"
_WORD_END = r"(?![^\W\d_])"  # a digit may follow at once: MRN12345
_NUMBER_WORD = r"(?i:\s?(?:number|num|no|nr|id)\b\.?)"
_CODES = (
    r"#\s?(?P<id>[A-Za-z]{0,4}-?\d{4,20})",
    r"(?<!\d)(?<!\d\.)(?P<id>\d{6,}+)",
    rf"{_START}(?P<id>[A-Z]{{1,4}}[-_]?\d{{5,}}+)",
    rf"{_START}(?P<id>[A-Z]{{1,3}}-?\d{{2}}-\d{{4,8}}){_END}",
    r"(?<!\d)(?P<id>\d{2,10}-\d{3,10}(?:-\d{2,10}){1,3}+)(?!\d)",
)
_RECORD = (
    rf"{_START}(?i:{_listed('records')})(?i:\((?:s)\)|s)?{_WORD_END}{_NUMBER_WORD}?[\s:#=.(]{{0,4}}(?i:is\s"
    rf"|was\s)?#?(?P<id>(?=[A-Za-z./_-]{{0,12}}\d[./_-]?[A-Za-z\d]){_VALUES})"
)
_WEAK_RECORD = (
    rf"{_START}(?i:{_listed('weak_records')}){_WORD_END}(?:{_NUMBER_WORD}[\s:#=.]{{0,4}}(?i:is\s|was\s)?"
    rf"|\s?[#:=]\s{{0,2}}#?)(?P<id>(?=[A-Za-z./_-]{{0,12}}\d(?:[A-Za-z./_-]{{0,3}}\d){{2}}){_VALUES})"
)
_UID = r"(?<!\d)(?P<id>\d{1,10}(?:\.\d{1,40}){4,}+)"

# National numbers of persons in the forms that are like nothing else: Italy, France, Brazil, Spain, Britain,
# China, India. Their check digits are not asked: a mistyped number still says whose it is.
_NATIONAL_IDS = (
    rf"{_START}(?P<id>[A-Za-z]{{6}}\d\d[A-Za-z]\d\d[A-Za-z]\d{{3}}[A-Za-z]){_END}",
    r"(?<!\d)(?P<id>[12]\s?\d\d\s?(?:0[1-9]|[1-9]\d)\s?(?:\d\d|2[AB])\s?\d{3}\s?\d{3}(?:\s?\d\d)?)(?!\d)",
    r"(?<!\d)(?P<id>\d{3}\.\d{3}\.\d{3}-\d\d)(?!\d)",
    rf"{_START}(?P<id>(?:\d{{8}}|[XYZ]\d{{7}})-?[A-Z]){_END}",
    rf"{_START}(?P<id>[A-CEGHJ-PR-TW-Z]{{2}}\s?\d\d\s?\d\d\s?\d\d\s?[A-D]){_END}",
    rf"(?<!\d)(?P<id>\d{{17}}[\dXx]){_END}",
    r"(?<!\d)(?P<id>\d{4}\s\d{4}\s\d{4}(?:\s\d{2,4})?)(?!\d)",
)

# Addresses.
_STREET_WORD = rf"(?:{_STOP}[A-Z][\w.'’-]{{0,25}}|\d{{1,3}}(?i:st|nd|rd|th))"
_FLAT = r"(?:,?\s{1,2}(?i:apt|apartment|suite|ste|unit|floor|room)\b\.?\s?#?\w{1,6}|,?\s?#\w{1,6})?"
_STREET_PARTICLE = r"(?i:de|des|du|del|della|la|las|los|le|les|da|das|do|dos|di|dei|den|der|van)"
_STREET_BEGINNING = (
    rf"(?:(?i:{_listed('street_beginnings')}){_END}|{_listed('street_beginnings_as_written')}{_END})"
)
_SHORT_STREET = _any_of({form for word in _WORDS["short_streets"] for form in (word, word.upper())})
_ZIP = r"\d{5}(?:-\d{4})?(?!\.?\d)"
_STREET = (
    rf"(?<![\d.])(?P<id>\d{{1,6}}[A-Za-z]?\s{{1,2}}(?:[\w.'’-]{{1,25}}\s{{1,2}}){{1,4}}"
    rf"(?i:{_listed('streets')})\b{_FLAT})"
)
_SHORT_ADDRESS = (
    rf"(?<![\d.])(?P<id>\d{{1,6}}[A-Za-z]?\s{{1,2}}"
    rf"(?:{_STREET_WORD}\s{{1,2}}){{1,4}}{_SHORT_STREET}\b\.?{_FLAT})"
)
# Number behind the street: Hauptstraße 12, rue de Rivoli 5, Via Roma 10; or before: 5, rue de Rivoli.
_STREET_ENDING = rf"(?i:{_listed('street_endings')})"
_HOUSE = r"\d{1,4}(?!\d)(?:[ -]?[a-z](?![^\W_]))?"
_NAME_OF_STREET = (
    rf"(?:\s{{1,2}}(?:{_STREET_PARTICLE}\s{{1,2}}){{0,3}}(?:(?i:[dl])['’])?"
    rf"{_CAPITAL}[a-zà-ÿ][\w'’-]{{0,30}}){{1,4}}"
)
_STREETS_ELSEWHERE = (
    rf"{_START}(?P<id>(?={_CAPITAL})(?:[\w'’-]{{1,25}}\s|[\w'’-]{{1,55}}?){_STREET_ENDING}\s{{1,2}}{_HOUSE})"
    rf"(?!\s?(?:mm|cm|%))",
    rf"{_START}(?P<id>{_STREET_BEGINNING}{_NAME_OF_STREET},?\s{{1,2}}(?:[nN][º°.]\s?)?{_HOUSE})(?!\s?(?:mm|cm|%))",
    rf"(?<![\d.])(?P<id>\d{{1,4}}(?:\s?(?:bis|ter))?,?\s{{1,2}}{_STREET_BEGINNING}{_NAME_OF_STREET})",
)
# Five digits and a town (10115 Berlin), the Netherlands (1012 AB Amsterdam), Britain (SW1A 1AA).
_POSTCODES = (
    rf"(?<![\d.-])(?P<id>(?:[A-Z]{{1,2}}-)?\d{{5}}\s{{1,2}}{_STOP}{_CAPITAL}[a-zà-ÿ]{{2,25}})",
    rf"(?<![\d.])(?P<id>\d{{4}}\s?[A-Z]{{2}}\s{{1,2}}{_STOP}{_CAPITAL}[a-zà-ÿ]{{2,25}})",
    rf"{_START}(?P<id>[A-PR-UWYZ][A-HK-Y]?\d[A-Z\d]?\s\d(?!ST|ND|RD|TH)[ABD-HJLNP-UW-Z]{{2}}){_END}",
)
_PO_BOX = r"(?i:\bp\.?\s?o\.?\s?box)\s{1,2}#?(?P<id>\d{1,8})"
_CITY = r"(?:[A-Z][A-Za-z.'’-]{1,25}\s){0,2}[A-Z][A-Za-z.'’-]{1,25},\s{0,2}"
_STATE_ZIP = rf"{_START}(?P<id>(?:{_CITY})?{_listed('states')}\.?,?\s{{1,2}}{_ZIP})"
_LABELLED_ZIP = rf"(?i:\bzip(?:[\s-]?code)?)[\s:#]{{0,3}}(?P<id>{_ZIP})"
_ZIP_PLUS = r"(?<!\d)(?P<id>\d{5}-\d{4})(?!\d)"

_SSN = r"(?<!\d)(?P<id>(?:\d{3}|[xX*]{3})(?P<sep>[- –.])(?:\d{2}|[xX*]{2})(?P=sep)\d{4}[A-Za-z]?)(?!\d)"
_EMAIL = r"(?<![\w.+-])(?P<id>[\w.+-]++@[\w-]++(?:\.[\w-]++)*+)"
_URL = r"(?P<id>(?i:\b(?:https?|ftp)://|\bwww\.)[^\s\[\]<>\"']++)"
_BARE_URL = (
    r"(?<![\w.@-])(?P<id>(?:[A-Za-z\d-]++\.){1,6}(?:com|org|net|edu|gov|info|health)(?![\w-])"
    r"(?:/[^\s\[\]<>\"']*+)?)"
)
_IPV4 = r"(?<![\d.])(?P<id>(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d))(?!\.?\d)"
_IPV6 = (
    r"(?<![\w:])(?P<id>(?:[\dA-Fa-f]{1,4}:){5,7}[\dA-Fa-f]{1,4}|(?:[\dA-Fa-f]{1,4}:){1,6}"
    r"(?::[\dA-Fa-f]{1,4}){1,6}|(?:[\dA-Fa-f]{2}-){5}[\dA-Fa-f]{2})(?![\w:])"
)


def _timed(dates: Iterable[str]) -> list[str]:
    return [f"(?P<id>{_BEFORE}{date}{_AFTER})" for date in dates]


def _rare_words(*names: str) -> frozenset[str]:
    """The longest word of each phrase of the lists, the last of equals: without it no phrase is there."""
    phrases = [_LETTERS.findall(phrase.lower()) for name in names for phrase in _WORDS[name]]
    words = {max(reversed(phrase), key=len) for phrase in phrases}
    return frozenset(words | {f"{word}s" for word in words})


def _rows(
    kind: Kind, needs: str, regexes: Iterable[str], words: frozenset[str] | None = None
) -> list[Pattern]:
    return [Pattern(kind=kind, written=regex, needs=re.compile(needs), words=words) for regex in regexes]


_DEGREE_WORDS = frozenset(_LETTERS.findall(word.lower())[-1] for word in [*_WORDS["degrees"], "DO"])
_AGE_WORDS = frozenset({"ninety", "hundred", "nineties", "nonagenarian", "centenarian", "supercentenarian"})
_ANY, _DIGIT, _LONG = "", r"\d", r"\d{4}|\d-\d{3}"
_MONTH_WORDS = frozenset(_WORDS["months"])

PATTERNS: tuple[Pattern, ...] = (
    *_rows("name", _ANY, _TITLED, _rare_words("titles", "titles_as_written", "plural_titles")),
    *_rows("name", _ANY, _CUED, _rare_words("cues", "colon_cues")),
    *_rows("name", _ANY, _BESIDE, _rare_words("relatives", "persons")),
    *_rows("name", _ANY, [_DEGREE], _DEGREE_WORDS),
    *_rows("address", _DIGIT, [_STREET], _rare_words("streets")),
    *_rows("address", _DIGIT, [_SHORT_ADDRESS], _rare_words("short_streets")),
    *_rows("address", _DIGIT, [_PO_BOX, _LABELLED_ZIP], frozenset({"box", "zip", "zipcode"})),
    *_rows("address", r"\d", _STREETS_ELSEWHERE[:1], None),
    *_rows(
        "address",
        _DIGIT,
        _STREETS_ELSEWHERE[1:],
        _rare_words("street_beginnings", "street_beginnings_as_written"),
    ),
    *_rows("address", _LONG, [_STATE_ZIP, _ZIP_PLUS]),
    *_rows("address", r"\d{4}|\d\s\d[A-Z]{2}|\d[A-Z]\s\d[A-Z]", _POSTCODES),
    *_rows("date", r"\d\s?[/.-]\s?\d|\d{8}", _timed(_NUMERIC_DATES)),
    *_rows("date", _DIGIT, _timed(_NAMED_DATES), _MONTH_WORDS),
    *_rows("date", _DIGIT, _timed(_DATES_ELSEWHERE), _rare_words("months_elsewhere")),
    *_rows("date", "[年월月년]", _DATES_OF_ASIA),
    *_rows("date", _DIGIT, [_WEEKDAY_DATE], _rare_words("weekdays")),
    *_rows("date", r"\d/\d", [_CUED_DATE, _DATE_BEFORE_CUE]),
    *_rows("date", _ANY, _MONTHS, _MONTH_WORDS),
    *_rows("age", _OLD, _AGES),
    *_rows("age", _ANY, [_SPELLED_AGES, _VERY_OLD], _AGE_WORDS),
    *_rows("phone", r"\d{4}", _PHONES),
    *_rows("phone", r"\+", [_INTERNATIONAL]),
    *_rows("phone", r"0\d", [_NATIONAL_PHONE]),
    *_rows("phone", r"\d\D{0,2}\d", [_CUED_PHONE], _rare_words("phones")),
    *_rows("email", "@", [_EMAIL]),
    *_rows("ssn", r"\d{4}", [_SSN]),
    *_rows("record", _DIGIT, [_RECORD], _rare_words("records")),
    *_rows("record", _DIGIT, [_WEAK_RECORD], _rare_words("weak_records")),
    *_rows("record", _LONG, _CODES),
    *_rows("record", r"\d\d", _NATIONAL_IDS),
    *_rows("record", r"\d\.\d+\.\d", [_UID]),
    *_rows("url", _ANY, [_URL], frozenset({"http", "https", "ftp", "www"})),
    *_rows("url", r"\.(?:com|org|net|edu|gov|info|health)", [_BARE_URL]),
    *_rows("ip", r"\d\.\d+\.\d", [_IPV4]),
    *_rows("ip", r"[\dA-Fa-f][:-][:\dA-Fa-f]", [_IPV6]),
)
"""Every way of writing that is looked for."""


def patterns_for(text: str) -> Iterator[Pattern]:
    """Yield the patterns that may match the text."""
    words = set(_LETTERS.findall(text.lower()))
    has: dict[re.Pattern[str], bool] = {}
    for pattern in PATTERNS:
        if pattern.words is not None and pattern.words.isdisjoint(words):
            continue
        if pattern.needs not in has:
            has[pattern.needs] = pattern.needs.search(text) is not None
        if has[pattern.needs]:
            yield pattern
