"""Errors meant for people: each message says what is wrong, where, and what to do."""


class RaftError(Exception):
    """A foreseeable failure, shown without a stack trace.

    Attributes:
        exit_code: What the process exits with (1 failed, 2 usage, 3 incomplete but resumable,
            4 gate failed, 130 interrupted).
    """

    exit_code = 1


class ConfigError(RaftError):
    """A setting that cannot work, alone or with another."""

    exit_code = 2


class CorpusError(RaftError):
    """Documents that are missing, unreadable or too few."""


class PromptError(RaftError):
    """A prompt file that is missing or names an unknown variable."""


class ChatError(RaftError):
    """A model that cannot be asked: wrong key, unknown model, no quota, no answer."""


class ModelError(RaftError):
    """A model that is not there, cannot be read, or cannot be used as a student."""


class TrainingError(RaftError):
    """Training that went wrong: not enough memory, no finite loss, a damaged checkpoint."""


class DatasetError(RaftError):
    """A dataset folder that cannot be read or written."""


class MissingExtra(RaftError):
    """A feature whose optional packages are not installed."""


class GateFailed(RaftError):
    """An evaluation that ran to its end, of which a gate was not passed."""

    exit_code = 4


class Incomplete(RaftError):
    """Work that stopped early with everything so far kept: the same command carries on."""

    exit_code = 3


class Interrupted(Incomplete):
    """A run stopped by Ctrl-C or SIGTERM."""

    exit_code = 130
