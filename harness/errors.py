"""What a user can cause and the command line reports as one clear message."""


class HarnessError(Exception):
    """Say what is wrong, in which file, row or key, and what to do."""


class Interrupted(HarnessError):
    """The process was asked to end, by the signal ``number``; a checkpoint has been written."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


class DataError(HarnessError):
    """A dataset, an annotation or an image is not what its layout promises."""


class PluginError(HarnessError):
    """A plugin, or a name that plugins offer, is missing, doubled or broken."""


class SettingError(HarnessError):
    """A setting names something that does not exist or has a value it cannot have."""


class TrainingError(HarnessError):
    """A stage cannot be trained further: a loss is not finite, a stage contradicts its record."""


class RecordError(HarnessError):
    """A record, a table or a predictions file contradicts itself or what it is compared with."""
