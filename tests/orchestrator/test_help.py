"""The help of every command says what each of its words and options does."""

import pytest
import typer
from rich.text import Text

from orchestrator.cli import app


def commands(group, path=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_everything_has_its_words_and_all_of_them_are_shown(name):
    """Rich takes words in brackets for markup, and leaves them out."""
    command = COMMANDS[name]
    assert command.help
    for parameter in command.params:
        said = parameter.help or ""
        assert said, f"{parameter.name} of gauntlet {name} has no help"
        assert Text.from_markup(said).plain == said, f"{parameter.name} of gauntlet {name}"
