"""Registered profiles as the engine uses them: each version parsed once, then found by its UniqueID."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from bureau.containers import profiles as xml
from bureau.errors import BureauError
from bureau.ledger import profiles as registered
from bureau.ledger.ledger import Ledger
from bureau.models import ProfilePin
from hardware.gp import loadfile
from hardware.gp.loadfile import LoadFile
from hardware.perso.order import Order, UniqueID
from hardware.perso.plan import Catalog
from hardware.perso.product import Product
from hardware.perso.profiles import ApplicationProfile, CardProfile, LoadFileProfile, Profile


@dataclass(slots=True)
class Shelf:
    """Some profiles by UniqueID, with the pin of each."""

    cards: dict[UniqueID, CardProfile] = field(default_factory=dict)
    applications: dict[UniqueID, ApplicationProfile] = field(default_factory=dict)
    load_files: dict[UniqueID, LoadFile] = field(default_factory=dict)
    pins: dict[UniqueID, ProfilePin] = field(default_factory=dict)

    @classmethod
    def of(cls, ledger: Ledger, pins: Iterable[ProfilePin]) -> "Shelf":
        """Return the profiles behind *pins*; of several versions the last stays. Raises NotFoundError."""
        shelf = cls()
        for pin in pins:
            profile, code = _load(ledger, pin)
            shelf.pins[profile.id] = pin
            match profile:
                case CardProfile():
                    shelf.cards[profile.id] = profile
                case ApplicationProfile():
                    shelf.applications[profile.id] = profile
                case LoadFileProfile():
                    if code is not None:
                        shelf.load_files[profile.id] = code
        return shelf

    @classmethod
    def latest(cls, ledger: Ledger) -> "Shelf":
        """Return the newest registered version of every profile."""
        return cls.of(ledger, (each.pin for each in registered.registered(ledger)))

    def needed(self, card: UniqueID) -> tuple[ProfilePin, ...]:
        """Return the pins of a card profile and of all that it names."""
        profile = self.cards[card]
        names = [card, *(each.profile for each in profile.applications), *(each.load_file for each in profile.applications)]
        return tuple(self.pins[name] for name in dict.fromkeys(names) if name in self.pins)

    def catalog(self, order: Order, product: Product) -> Catalog:
        """Return what making *order* on *product* takes; raises BureauError where no card profile suits both."""
        suits = [name for name in order.card_profiles if name in product.profiles and name in self.cards]
        if not suits:
            raise BureauError(f"record {order.crn}: {product.name} meets none of its card profiles")
        return Catalog(card=self.cards[suits[0]], applications=self.applications, load_files=self.load_files)


@lru_cache(maxsize=512)
def _load(ledger: Ledger, pin: ProfilePin) -> tuple[Profile, LoadFile | None]:
    content = registered.load(ledger, pin)
    profile = next(each for each in xml.parse(content.xml) if each.id == pin.unique_id)
    return profile, loadfile.parse(content.code) if content.code is not None else None
