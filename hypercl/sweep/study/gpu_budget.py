"""Limits on GPU-hours and money, and what they cost, in words."""

from dataclasses import dataclass

from hypercl.config import UserError


@dataclass(frozen=True)
class GpuBudget:
    """What a command may use of GPUs."""

    hours: float | None = None
    """`--max-gpu-hours`."""
    cost: float | None = None
    """`--max-cost`."""
    price: float | None = None
    """`--price-per-gpu-hour`."""

    @property
    def options(self) -> list[str]:
        """The options that were given."""
        names = {"--max-gpu-hours": self.hours, "--max-cost": self.cost, "--price-per-gpu-hour": self.price}
        return [name for name, value in names.items() if value is not None]

    @property
    def limited(self) -> bool:
        """Whether there is anything to watch."""
        return self.hours is not None or self.cost is not None

    def check(self) -> None:
        """Raises a UserError where a cost is given without a price."""
        if self.cost is not None and self.price is None:
            raise UserError("--max-cost: a cost needs a price\n    fix:     add --price-per-gpu-hour X")

    def require_gpus(self, share: float) -> None:
        """Raises a UserError where options are given and trials have no GPU: nothing would ever be counted."""
        if self.options and not share:
            raise UserError(
                f"{self.options[0]}: trials have no GPU here, so no GPU-hour would ever be counted\n"
                "    fix:     leave it out; --time limits a sweep on CPUs"
            )

    def used_up(self, used: float) -> str:
        """The limit that is reached after some GPU-hours, with what was used; '' where none is."""
        if self.hours is not None and used >= self.hours:
            return f"GPU-hours used up: {used:.4g} of {self.hours:g} (--max-gpu-hours)"
        if self.cost is not None and self.price is not None and used * self.price >= self.cost:
            of = f"{used * self.price:.4g} of {self.cost:g}"
            return f"cost limit reached: {of} for {used:.4g} GPU-hours at {self.price:g} each (--max-cost)"
        return ""

    @property
    def in_words(self) -> str:
        """Where a command stops; '' where nothing stops it."""
        hours = [] if self.hours is None else [f"{self.hours:g} GPU-hours (--max-gpu-hours)"]
        cost = [] if self.cost is None else [f"a cost of {self.cost:g} (--max-cost)"]
        return " or ".join(hours + cost)


def priced(hours: float, price: float | None) -> str:
    """'1.25, 3.13 at 2.5 each'; without a price '1.25'."""
    return f"{hours:.3g}" + (f", {hours * price:,.2f} at {price:g} each" if price is not None else "")
