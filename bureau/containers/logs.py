"""The answer for one card record, as elements: what became of it, of each piece of plastic, and of each step."""

import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Final

from lxml import etree

from bureau.containers.dialects import DIALECTS, PROFILES, code
from bureau.containers.orders import Builder, applications, configuration, element_name, parse
from bureau.models import AttemptOutcome, CardState, PlasticResult, RecordResult
from hardware.perso.order import ApplicationOrder, Order, TargetState, UniqueID

Audited = Callable[[UniqueID], frozenset[str]]
"""The elements of an application profile that the trail must bring back (@MandatoryAudit)."""

NOT_PRODUCED: Final[Mapping[CardState, tuple[str, str]]] = {
    CardState.REJECTED: ("01", "the card refused"),
    CardState.SUSPECT: ("02", "what the card holds isn't known"),
    CardState.SCRAPPED: ("03", "scrapped"),
    CardState.WITHDRAWN: ("04", "withdrawn"),
}
UNFINISHED: Final = ("05", "not made yet")
_FAILED: Final = frozenset({AttemptOutcome.SPOILED, AttemptOutcome.MUTE, AttemptOutcome.UNKNOWN})
_UNREPORTED: Final = frozenset({AttemptOutcome.RETURNED, AttemptOutcome.MUTE})
NOT_DONE: Final = {"ErrorCategory": "MODULE", "ErrorNumber": "20", "ErrorDescription": "not done here"}
_STATES: Final = {state.code: state.value for state in TargetState}


class RecordLog:
    """Writes the answer for one record."""

    def __init__(self, result: RecordResult, audited: Audited) -> None:
        self._result, self._audited = result, audited
        self._root = parse(result.record.xml)
        self._order = _order(self._root)
        namespace = etree.QName(self._root).namespace or ""
        self._dialect = DIALECTS[namespace]
        written = [each for each in result.plastics if each.outcome not in _UNREPORTED]
        self._last = written[-1] if written else None

    def container(self) -> etree._Element:
        """Return the LogContainer, with the modules that aren't done here."""
        log = self._element("LogContainer")
        log.append(self.identifier(modules=False))
        log.extend(self._modules())
        etree.cleanup_namespaces(log)
        return log

    def identifier(self, *, modules: bool = True) -> etree._Element:
        """Return the LogIdentifierCode; *modules* not done are named in it, where the answer has no other place."""
        holder = self._root.find("{*}ModuleIdentifierCode")
        log = self._element("LogIdentifierCode", Identifier="" if holder is None else str(holder.get("Identifier", "")))
        log.append(self._card(modules=modules))
        log.extend(self._application(place) for place in range(len(self._order.applications)))
        etree.cleanup_namespaces(log)
        return log

    def per_crn(self) -> Iterator[etree._Element]:
        """Yield an ApplicationLogPerCRN for each application; what went wrong is said at its last step."""
        for place in range(len(self._order.applications)):
            log = self._element("ApplicationLogPerCRN")
            log.extend((self._crn(), self._application(place, error=self._error())))
            etree.cleanup_namespaces(log)
            yield log

    def _element(self, name: str, text: str | None = None, **attributes: str) -> etree._Element:
        namespaces: dict[str, str] = {None: self._dialect.namespace}  # type: ignore[dict-item]
        element = etree.Element(self._dialect.tag(name), nsmap=namespaces)
        for attribute, value in attributes.items():
            element.set(attribute, value)
        element.text = text
        return element

    def _crn(self) -> etree._Element:
        found = configuration(self._root).find("{*}CRN")
        return self._element("CRN", Number=self._order.crn if found is None else str(found.get("Number")))

    def _card(self, *, modules: bool) -> etree._Element:
        log = self._element("CardConfigurationLog", DecollationStatus="0")
        error = self._error()
        if error is None and modules and (names := [each.get("ModuleName") for each in self._modules()]):
            error = {**NOT_DONE, "ErrorDescription": f"not done here: {', '.join(name or 'delivery' for name in names)}"}
        if error is not None:
            log.append(self._element("Error", **error))
        log.append(self._crn())
        if len(self._order.card_profiles) == 1:
            log.append(self._element("ValidCardProfileID", self._order.card_profiles[0]))
        plastics = [each for each in self._result.plastics if each.outcome not in _UNREPORTED]
        log.extend([self._plastic(each) for each in plastics] or [self._no_plastic()])
        if mute := sum(each.outcome is AttemptOutcome.MUTE for each in self._result.plastics):
            log.append(self._element("MuteCardsNumber", str(mute)))
        return log

    def _error(self) -> dict[str, str] | None:
        """Say why the record wasn't produced, or which plastics failed before the good one; the category is who is to blame.

        Without one on record it says what the error is about, which its number does too.
        """
        pieces = len(self._result.plastics)
        failed = [
            f"plastic {place} of {pieces} {each.outcome}: {_printable(each.cause or 'no cause recorded')}"
            for place, each in enumerate(self._result.plastics, 1)
            if each.outcome in _FAILED
        ]
        blamed = [each.code.upper() for each in self._result.plastics if each.outcome in _FAILED and each.code]
        if self._result.state is not CardState.GOOD:
            number, reason = NOT_PRODUCED.get(self._result.state, UNFINISHED)
            said = "; ".join([f"not produced: {reason}", *failed])
            return {"ErrorCategory": (blamed or ["RECORD"])[-1], "ErrorNumber": number, "ErrorDescription": said}
        if failed:
            return {"ErrorCategory": (blamed or ["PLASTIC"])[-1], "ErrorNumber": "10", "ErrorDescription": "; ".join(failed)}
        return None

    def _plastic(self, plastic: PlasticResult) -> etree._Element:
        log = self._element(
            "PhysicalCardIdentifier",
            IdentifierType=plastic.identifier_type or "ANONYMOUS", IdentifierValue=plastic.identifier.upper() or "00",
        )  # fmt: skip
        log.append(self._element("CardLifeCycleState", f"{plastic.card_state:02X}"))
        for each in plastic.aids:
            aid = self._element("AID", AID=str(each.aid), Order=str(each.order))
            if each.target is not None:
                aid.set("TargeState", each.target)
            if each.reached is not None:
                aid.set("ReachedState", _state(each.reached))
            log.append(aid)
        if not plastic.aids:
            log.append(self._element("AID", AID="00", Order="0"))
        return log

    def _no_plastic(self) -> etree._Element:
        """Say that no plastic was touched, where the grammar wants one."""
        log = self._element("PhysicalCardIdentifier", IdentifierType="NONE", IdentifierValue="00")
        log.extend((self._element("CardLifeCycleState", "00"), self._element("AID", AID="00", Order="0")))
        return log

    def _application(self, place: int, error: dict[str, str] | None = None) -> etree._Element:
        element, order = applications(self._root)[place], self._order.applications[place]
        log = self._element("ApplicationLog")
        if (aid := self._aid(element, order)) is not None:
            log.append(aid)
        if order.profile is not None:
            log.append(self._element("ApplicationProfileUniqueID", order.profile))
        steps = [self._step(place, at, each) for at, each in enumerate(element.iterchildren("{*}ProcessingStep"))]
        if error is not None:
            steps = steps or [self._element("ProcessingStepResult", Action="00", Requirement="00", DataSet="00")]
            steps[-1].append(self._element("Error", **error))
        log.extend(steps)
        if (data := self._log_data(element, order)) is not None:
            log.append(data)
        return log

    def _aid(self, element: etree._Element, order: ApplicationOrder) -> etree._Element | None:
        identifier = self._order.aid(order)
        if identifier is None:
            return None
        target = next((each for each in self._order.targets if each.aid == identifier), None)
        named = element.find("{*}AID")
        number = named.get("Order") if named is not None else str(target.order) if target is not None else "0"
        aid = self._element("AID", AID=str(identifier), Order=str(number))
        if target is not None and target.state is not None:
            aid.set("TargeState", target.state)
        reached = next((each.reached for each in self._last.aids if each.aid == identifier), None) if self._last else None
        if reached is not None:
            aid.set("ReachedState", _state(reached))
        return aid

    def _step(self, application: int, place: int, step: etree._Element) -> etree._Element:
        log = self._element(
            "ProcessingStepResult",
            Action=as_hex(str(step.get("Action")).strip()), Requirement=code(str(step.get("Requirement"))), DataSet="00",
        )  # fmt: skip
        for each in self._last.steps if self._last is not None else ():
            if (each.application, each.step) == (application, place):
                log.set("StatusWords", each.status_words.upper())
        script = next((each.text for each in step.iterchildren("{*}ScriptFragment", "{*}Script")), None)
        if script is not None and re.fullmatch(r"[G-Zg-z_][\w.-]{0,63}", script.strip(), re.ASCII):
            log.append(self._element(self._dialect.script, script.strip()))
        return log

    def _log_data(self, element: etree._Element, order: ApplicationOrder) -> etree._Element | None:
        """Return LogData as it came, with the data that the profile wants brought back; nothing under a transport key is."""
        own = element.find("{*}LogData")
        log = self._element("LogData") if own is None else _copy(own)
        wanted = self._audited(order.profile) if order.profile is not None else frozenset()
        if self._result.state is CardState.GOOD and wanted:
            audit = self._element("DataSet", Name="AUDIT")
            for name, value in _clear(element, wanted):
                audit.append(self._element("Data", DataElement=name, Value=value))
            if len(audit):
                log.append(audit)
        return log if len(log) else None

    def _modules(self) -> Iterator[etree._Element]:
        for module in self._root.iterchildren("{*}GenericModule", "{*}Module"):
            log = self._element("ModuleLog", ModuleName=str(module.get("ModuleName")))
            if (identifier := module.get("Identifier")) is not None:
                log.set("Identifier", identifier)
            log.append(self._element("Error", **NOT_DONE))
            log.append(self._element("ProfileUniqueID", module.findtext("{*}ProfileUniqueID")))
            if (data := module.find("{*}LogData")) is not None:
                log.append(_copy(data))
            yield log
        if (delivery := self._root.find("{*}DeliveryModule")) is not None:
            log = self._element("DeliveryModuleLog")
            log.append(self._element("Error", **NOT_DONE))
            if (date := delivery.find("{*}RequestedDeliveryDate")) is not None:
                log.append(_copy(date))
            yield log


def as_hex(text: str) -> str:
    """Return a code as it came; a word as the hex of its ASCII."""
    return text if re.fullmatch(r"([0-9A-Fa-f]{2})+", text) else text.encode("ascii", "replace").hex().upper()


def _order(root: etree._Element) -> Order:
    def complain(_element: etree._Element, name: str, message: str) -> None:
        raise ValueError(f"{name} {message}")

    return Builder(root, complain).order()


def _state(reached: int) -> str:
    return _STATES.get(reached, f"{reached:02X}")


def _clear(application: etree._Element, names: frozenset[str]) -> Iterator[tuple[str, str]]:
    for data_set in application.iterfind("{*}ICCData/{*}DataSet"):
        if not any(etree.QName(each).namespace in PROFILES for each in data_set):
            for data in data_set.iterchildren("{*}Data"):
                if element_name(name := str(data.get("DataElement"))) in names:
                    yield name, str(data.get("Value"))


def _copy(element: etree._Element) -> etree._Element:
    copy = deepcopy(element)
    copy.tail = None
    return copy


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
