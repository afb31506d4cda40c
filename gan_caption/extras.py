"""Packages that come with an extra: said to be missing before anything is done with them."""

from __future__ import annotations

from importlib.util import find_spec

from gan_caption.errors import UserError


def require(*packages: str, extra: str, what: str) -> None:
    """Check that packages are installed, without importing them.

    Args:
        packages: by the names that they are imported by.
        extra: of this project, which brings them.
        what: needs them: a plural, "reports".

    Raises:
        UserError: some are missing; the message names them and the extra.
    """
    missing = [name for name in packages if not installed(name)]
    if missing:
        raise UserError(f"{what} need {', '.join(missing)}: pip install 'gan_caption[{extra}]'")


def installed(name: str) -> bool:
    """Tell whether a package is there, by the name that it is imported by."""
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # the package that it would be a part of
        return False
