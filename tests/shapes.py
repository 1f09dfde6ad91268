"""How shapes and types in signatures are checked at run time: as mypy reads them, an int is a float, too."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
