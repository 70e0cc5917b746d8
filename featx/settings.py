"""Typed settings that are at once a TOML recipe, command-line options, and their help.

A command's settings are one pydantic model. Later sources win: defaults, ``--recipe FILE``, options,
``--set key=value``.
"""

from __future__ import annotations

import inspect
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, get_args, get_origin

import typer
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from featx.completion import Completion, Offers, one_of, some_of
from featx.errors import FeatxError, nearest
from featx.help_pages import Panel, Panels
from featx.named_values import parse_named_values


@dataclass(frozen=True)
class Mark:
    """Says of a setting what it is to a run; stands in its annotation: ``Annotated[int, MAY_CHANGE]``."""

    meaning: str


MAY_CHANGE = Mark(
    "how or where something is computed, or where data lie whose content is compared: when a command is given again, it may "
    "have another value"
)


class Settings(BaseModel):
    """Base of all settings: unknown keys are errors, and every field has a description for the help.

    Attributes:
        former_names: What settings were called before, to what they are called now. A recipe, an option or a file that was
            written then may still say it so.
        panels: Where the help page shows the settings that a class adds, or shows elsewhere than its parent does.
    """

    model_config = ConfigDict(extra="forbid", validate_default=True)
    former_names: ClassVar[Mapping[str, str]] = {}
    panels: ClassVar[Panels] = {}

    @classmethod
    def panel_of_each(cls) -> dict[str, Panel]:
        """Returns the panel of each setting that has one, in the order of the help page."""
        of_each: dict[str, Panel] = {}
        for kind in cls.__mro__:
            for panel, names in vars(kind).get("panels", {}).items():
                of_each |= {name: panel for name in names.split() if name not in of_each}
        return of_each

    @classmethod
    def current_name(cls, name: str) -> str:
        """Returns what a setting is called now."""
        return cls.former_names.get(name, name)

    @classmethod
    def with_current_names(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns values of settings, as an earlier featx may have written them, by what the settings are called now."""
        return {cls.current_name(name): value for name, value in values.items()}

    @classmethod
    def marked(cls, mark: Mark) -> set[str]:
        """Returns the names of the settings that carry a mark."""
        return {name for name, field in cls.model_fields.items() if mark in field.metadata}


SomeSettings = TypeVar("SomeSettings", bound=Settings)


def gather(
    model: type[SomeSettings], recipe: Path | None, options: dict[str, Any], sets: list[str]
) -> SomeSettings:
    """Merges a recipe, options and ``key=value`` words into validated settings.

    Args:
        model: The settings' type.
        recipe: A TOML file, or None.
        options: Command-line options; None means that it was not given.
        sets: The words of ``--set``.

    Raises:
        FeatxError: Naming the file or flag, the key, and for an unknown key the nearest known one.
    """
    return _validate(model, _sources(recipe, options, sets))


def gather_task(
    models: dict[str, type[SomeSettings]], recipe: Path | None, options: dict[str, Any], sets: list[str]
) -> SomeSettings:
    """Does what `gather` does where the key ``task`` says which of several types of settings is meant.

    Args:
        models: Task to type of settings; the first task is the default.
        recipe: A TOML file, or None.
        options: Command-line options of all the types; None means that it was not given.
        sets: The words of ``--set``.

    Raises:
        FeatxError: As `gather`; for a setting that only other tasks have it names those.
    """
    sources = _sources(recipe, options, sets)
    task, named_by = next(iter(models)), ""
    for source, values in sources:
        if "task" in values:
            task, named_by = str(values["task"]), source or "--task"
    if task not in models:
        raise FeatxError(
            f"{named_by} {task}: no such task{nearest(task, models) or ': ' + ', '.join(models)}"
        )
    model = models[task]
    for source, values in sources:
        for key in values:
            having = [name for name, other in models.items() if other.current_name(key) in other.model_fields]
            if having and task not in having:
                flag = f"{source}: {key}" if source else f"--{key.replace('_', '-')}"
                raise FeatxError(f"{flag}: task {task} has no such setting, {' and '.join(having)} have")
    return _validate(model, sources)


Sources = list[tuple[str, dict[str, Any]]]  # where values come from, later ones winning; "" for options


def _sources(recipe: Path | None, options: dict[str, Any], sets: list[str]) -> Sources:
    sources: Sources = []
    if recipe is not None:
        sources.append((str(recipe), _read_recipe(recipe)))
    sources.append(("", {key: value for key, value in options.items() if value is not None}))
    sources.append(("--set", dict(_split(word) for word in sets)))
    return sources


def _validate(model: type[SomeSettings], sources: Sources) -> SomeSettings:
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for source, values in sources:
        for key, value in values.items():
            name = model.current_name(key)
            if name not in model.model_fields:
                raise FeatxError(
                    f"{source}: unknown key '{key}'{nearest(key, model.model_fields) or '; see --help'}"
                )
            said = f"{source}: {key}={value}" if source else f"--{key.replace('_', '-')} {value}"
            if name != key and name in values:
                raise FeatxError(f"{said}: {name} is the same setting; leave {key} out")
            is_list = get_origin(model.model_fields[name].annotation) is list
            merged[name] = value.split(",") if is_list and isinstance(value, str) else value
            if is_named_values(model.model_fields[name]) and isinstance(value, list):
                merged[name] = parse_named_values(value, f"--{key.replace('_', '-')}")
            origin[name] = said
    try:
        return model(**merged)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "missing":
            raise FeatxError(
                f"--{key.replace('_', '-')}: is needed (as an option, in a recipe, or with --set)"
            ) from error
        message = first["msg"].removeprefix("Value error, ")
        raise FeatxError(f"{origin.get(key, key)}: {message}" if key else message) from error


def _read_recipe(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise FeatxError(f"--recipe {file}: cannot read it ({error.strerror})") from error
    except ValueError as error:  # also of text that is not UTF-8
        raise FeatxError(f"--recipe {file}: not TOML ({error})") from error


def _split(word: str) -> tuple[str, Any]:
    key, equals, text = word.partition("=")
    if not equals:
        raise FeatxError(f"--set {word}: must be key=value")
    try:
        return key, tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return key, text  # a bare word is a string


def with_options(
    model: type[Settings], **others: type[Settings]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorates a typer command ``f(**options)`` so that it has one option for every field of ``model``.

    The option's name, type and help come from the field; its default is shown but stays None, so that a recipe
    is only overridden by what was really given. A field that is a parameter of the command already keeps that option.
    What a field was called before is an option too, which the help does not show.

    Args:
        model: The settings' type.
        others: Task to type of settings, for tasks that have others (`gather_task`): what only they have comes last, and
            the help says whose it is; of what both have it shows the other default.
    """
    fields_of: dict[str, dict[str, FieldInfo]] = {}  # name to task to field; the first type's task is ""
    for task, some in {"": model, **others}.items():
        for name, field in some.model_fields.items():
            fields_of.setdefault(name, {})[task] = field
    former = {old: new for some in (model, *others.values()) for old, new in some.former_names.items()}
    panels: dict[str, Panel] = {}
    for some in (model, *others.values()):
        panels |= {name: panel for name, panel in some.panel_of_each().items() if name not in panels}
    in_order = [*(name for name in panels if name in fields_of), *(n for n in fields_of if n not in panels)]

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        own = [
            parameter
            for parameter in inspect.signature(function, eval_str=True).parameters.values()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        ]
        known = {parameter.name for parameter in own}
        fields = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=_option(name, fields_of[name], panels.get(name)),
            )
            for name in in_order
            if name not in known
        ]
        fields += [
            inspect.Parameter(
                old,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=_option(old, fields_of[new], hidden=True),
            )
            for old, new in former.items()
            if old not in known
        ]
        own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        function.__signature__ = inspect.Signature([*own, *fields])  # type: ignore[attr-defined]
        function.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *fields]}
        return function

    return decorate


def _option(
    name: str, of_tasks: dict[str, FieldInfo], panel: Panel | None = None, hidden: bool = False
) -> Any:
    (task, field), *others = of_tasks.items()
    kind, choices = _plain_type(field.annotation)
    for _, other in others:
        choices += [choice for choice in _plain_type(other.annotation)[1] if choice not in choices]
    defaults = "; ".join(
        f"{'default' if whose == task else whose}: {_as_typed(one.default)}"
        for whose, one in of_tasks.items()
        if not one.is_required()
        and (
            _is_worth_saying(one.default)
            if whose == task
            else one.default not in (None, field.default, whose)
        )
    )
    text = f"{field.description}{' One of: ' + ', '.join(choices) + '.' if choices else ''}"
    text = f"{f'({task}) ' if task else ''}{text}{f' [{defaults}]' if defaults else ''}"
    offered = list(dict.fromkeys(value for one in of_tasks.values() for value in offered_values(one)))
    complete = some_of if get_origin(field.annotation) is list else one_of
    flag = name.replace("_", "-")
    if is_named_values(field):
        kind = list[str]
    flags = f"--{flag}/--no-{flag}" if kind is bool else f"--{flag}"
    option = typer.Option(
        flags,
        help=text,
        show_default=False,
        hidden=hidden,
        rich_help_panel=panel,
        autocompletion=complete(offered) if offered else None,
    )
    return Annotated[kind | None, option]


def offered_values(field: FieldInfo) -> tuple[str, ...]:
    """Returns the values of a setting that a shell offers: its choices, or those that its annotation names."""
    offers = [mark.values for mark in field.metadata if isinstance(mark, Offers)]
    of_list = [
        args for args in map(get_args, get_args(field.annotation)) if get_origin(field.annotation) is list
    ]
    return (*_plain_type(field.annotation)[1], *(value for some in (*offers, *of_list) for value in some))


def complete_assignments(*models: type[Settings], without: Mark | None = None) -> Completion:
    """Offers settings as ``key=value`` with their values, or else their defaults, which a user then changes.

    Args:
        models: Types of settings; the first that has a setting says its default.
        without: A mark of settings that are not offered.
    """

    def assignments() -> list[str]:
        fields: dict[str, list[FieldInfo]] = {}
        for model in models:
            for name, field in model.model_fields.items():
                if without not in field.metadata:
                    fields.setdefault(name, []).append(field)
        return [f"{name}={value}" for name, some in fields.items() for value in _assigned_values(some)]

    return one_of(assignments)


def _assigned_values(fields: list[FieldInfo]) -> list[str]:
    """Returns what is offered behind a setting's name, of its fields in several types of settings."""
    first = fields[0]
    if _plain_type(first.annotation)[0] is bool:
        return ["true", "false"]
    offered = list(dict.fromkeys(value for field in fields for value in offered_values(field)))
    says_default = not first.is_required() and _is_worth_saying(first.default)
    return offered or [_as_typed(first.default) if says_default else ""]


def _is_worth_saying(default: Any) -> bool:
    """Whether a page shows a default. That a switch is off, or that nothing is given, goes without saying."""
    return default is not None and default is not False and default not in ("", [])


def _as_typed(default: Any) -> str:
    """Returns a default as it is typed: a list with commas, 1000000 rather than 1e6; of a switch its state."""
    if isinstance(default, bool):
        return "on" if default else "off"
    if isinstance(default, list):
        return ",".join(map(_as_typed, default))
    return f"{default:.12g}" if isinstance(default, float) else str(default)


def is_named_values(field: FieldInfo) -> bool:
    """Whether a setting is a table of names and values, which is given as ``name=value``, several times."""
    return any(get_origin(kind) is dict for kind in (field.annotation, *get_args(field.annotation)))


def _plain_type(annotation: Any) -> tuple[Any, list[str]]:
    """Returns the type that typer parses for a field, and the choices of a Literal."""
    members = [member for member in get_args(annotation) if member is not type(None)]
    if str(get_origin(annotation)) == "typing.Literal":
        return str, [str(choice) for choice in get_args(annotation)]
    if members and type(None) in get_args(annotation):
        return _plain_type(members[0])
    return (annotation if annotation in (int, float, bool, str, Path) else str), []
