"""Pages of configuration are data: what could make them more is refused before Hydra reads them.

Hydra builds callbacks, loggers and launchers from the keys below `hydra`, whatever class they name, and sets
environment variables by them, all before a run begins. An entry point's own page has such keys, and so have this
package's sweeps and clusters; no page from elsewhere may.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf.errors import OmegaConfBaseException

from gan_caption.errors import UserError
from gan_caption.untrusted.parsing import briefly
from gan_caption.untrusted.references import plain

LONGEST, DEEPEST = 1_000_000, 50
"""Bytes of a page and levels of nesting; this package's have a few thousand, and six."""

_SPELLED = ("hydra", "_group_", "_name_")
"""Hydra's own settings, and what Hydra replaces by other words, which could spell that."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check_pages(*, entry: Path, own: Path) -> None:
    """Have Hydra read pages only after `check_page`; a page that is refused ends the program with status 2.

    Args:
        entry: the entry point's own page, which is trusted.
        own: this package's folder of pages, which come with its code and are trusted as well.
    """

    def load_config(source: FileConfigSource, config_path: str) -> ConfigResult:
        path = Path(source.path, source._normalize_file_name(config_path)).resolve()
        try:
            if path != entry.resolve() and not path.is_relative_to(own.resolve()):
                if Path(config_path).parts[:1] == ("hydra",):
                    raise _refused(path, 1, "it lies among Hydra's own settings")
                check_page(path)
            loaded: ConfigResult = unchecked(source, config_path)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)  # Hydra would print a traceback of any exception
        except (yaml.YAMLError, OmegaConfBaseException, ValueError) as error:  # a key that comes twice, say
            print(f"error: {path} is no page of settings: {briefly(str(error))}", file=sys.stderr)
            sys.exit(2)
        return loaded

    # In Hydra's own class: launchers hand its registry of sources to other processes, which know that class alone.
    Plugins.instance()  # which registers it
    registered: Any = SourcesRegistry.instance().types["file"]
    unchecked = getattr(registered, "unchecked", registered.load_config)
    registered.unchecked, registered.load_config = unchecked, load_config


def check_all_pages(folder: Path, *, own: Path) -> None:
    """Check every page below a folder, before other processes read some of them that know nothing of `check_pages`.

    Args:
        folder: is gone through as Hydra finds pages in it, through links as well.
        own: this package's folder of pages, which are trusted.

    Raises:
        UserError: one is refused; see `check_page`.
    """
    been: set[Path] = set()
    for place, below, names in os.walk(folder, followlinks=True):
        real = Path(place).resolve()
        if real in been or real.is_relative_to(own.resolve()):
            below.clear()  # a circle of links, or what is trusted
            continue
        been.add(real)
        for path in sorted(Path(place, name) for name in names if name.endswith((".yaml", ".yml"))):
            if path.relative_to(folder).parts[:1] == ("hydra",):
                raise _refused(path, 1, "it lies among Hydra's own settings")
            check_page(path)


def check_page(path: Path) -> None:
    """Refuse a page that could do more than set and choose parts.

    Raises:
        UserError: it is no YAML, or touches Hydra's own settings, has tags, or aliases, by which a short page unfolds
            without end. The message names it, and the line.
    """
    try:
        if not path.is_file():  # a pipe, say, that nobody writes to
            raise UserError(f"{path} is no file, and so no page")
        with path.open("rb") as file:
            read = file.read(LONGEST + 1)
        if len(read) > LONGEST:
            raise UserError(f"{path}: a page of more than {LONGEST} bytes is refused")
        text = read.decode()
        for number, row in enumerate(text.splitlines(), start=1):
            package = row.partition("@package")[2] if row.lstrip().startswith("#") else ""
            if any(word in package for word in _SPELLED):
                raise _refused(path, number, f"it goes into {briefly(package.strip())}")
        depth = 0
        for event in yaml.parse(text, Loader=_Loader):
            line = event.start_mark.line + 1
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise _refused(path, line, f"it is nested deeper than {DEEPEST} levels")
            if isinstance(event, yaml.AliasEvent):
                raise _refused(path, line, "it has an alias (*); write the value again, or refer to its key by ${key}")
            if getattr(event, "tag", None) not in (None, "!"):
                raise _refused(path, line, f"it has a tag, {briefly(event.tag)}")
            if isinstance(event, yaml.ScalarEvent) and not plain(event.value):
                why = "is more than ${key}, and a page reads no environment variables and computes nothing"
                raise _refused(path, line, f"{briefly(event.value)} {why}")
        whole = yaml.compose(text, Loader=_Loader)
        for named in (*_keys(whole), *_defaults(whole)):
            if "hydra" in named.value:
                raise _refused(path, named.start_mark.line + 1, f"it sets Hydra itself up by {briefly(named.value)}")
        for chosen in (*_defaults(whole), *_outputs(whole)):
            # By which defaults could spell Hydra's own; and Hydra reads `outputs` before `check_references` does.
            if "${" in chosen.value:
                raise _refused(path, chosen.start_mark.line + 1, f"what it chooses refers to {briefly(chosen.value)}")
        for chosen in _defaults(whole):
            if any(word in chosen.value for word in _SPELLED):
                raise _refused(path, chosen.start_mark.line + 1, f"{briefly(chosen.value)} spells where it goes")
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no YAML page: {str(error)[:500]}") from error


def _defaults(node: yaml.Node | None, *, within: bool = False) -> Iterator[yaml.ScalarNode]:
    """Yield what a page's list of defaults says, keys and values alike."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            named = isinstance(key, yaml.ScalarNode) and key.value == "defaults"
            for part in (key, value) if within else (value,) if named else ():
                yield from _defaults(part, within=True)
    elif within and isinstance(node, yaml.SequenceNode):
        for part in node.value:
            yield from _defaults(part, within=True)
    elif within and isinstance(node, yaml.ScalarNode):
        yield node


def _keys(node: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    """Yield the keys of a page, those of its inner parts as well."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield key
            yield from _keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for part in node.value:
            yield from _keys(part)


def _outputs(node: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    """Yield the folder for the runs' folders, where a page sets it."""
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if isinstance(value, yaml.ScalarNode) and getattr(key, "value", None) == "outputs":
            yield value


def _refused(path: Path, line: int, why: str) -> UserError:
    return UserError(
        f"{path}, line {line}: {why}. Pages set and choose parts, and nothing more, so that one from elsewhere cannot "
        "run code; what you trust goes on the command line"
    )
