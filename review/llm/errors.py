"""How a call of the model can end badly. Each message is a sentence for a person."""


class Unavailable(Exception):
    """The server cannot answer anyone just now: nothing is wrong with the document.

    Try again later: after `retry_after` seconds where the server said so. begun: it may have
    charged something, as it had begun to answer.
    """

    def __init__(
        self, message: str, retry_after: float | None = None, *, begun: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.begun = begun


class NoAnswer(Exception):
    """The server took the call, and no usable answer came of it. A second try may help."""


class Refused(Exception):
    """The model or its filter declines this document. Trying again would not help."""


class TooMany(Unavailable):
    """429: it is asked too often, or by too many calls at once."""


class NoTurn(Unavailable):
    """Nothing was asked: as many calls as the server bears were under way all the time."""


class OverBudget(NoTurn):
    """Nothing was asked: what the call may cost is more than the project may still spend."""


class TimedOut(NoAnswer):
    """The server took the call and did not finish it in time."""


class NotThere(NoAnswer):
    """404: the server has no such thing, or cannot do this at all."""
