"""`python -m petechia`, for when the command is not on the path."""

from petechia.apps.cli.main import entry

if __name__ == "__main__":
    entry()
