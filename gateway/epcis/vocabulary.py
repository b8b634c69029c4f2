"""The Core Business Vocabulary (CBV 2.0): the bare words that EPCIS documents may use, and GS1's sensor words.

In JSON a word of GS1 is written bare ("shipping"); a word of anybody else is a full URI. A CURIE of a declared prefix
and GS1's own web address of a word are read as what they mean. The old URNs are refused, as in GS1's schema.

Source: CBV 2.0 sections 7.1 to 7.8; the terms of https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.epcis.context import written_out
from gateway.epcis.errors import EpcisError
from gateway.epcis.identifiers import canonical

CBV = "https://ref.gs1.org/cbv/"
WEB_VOCABULARY = "https://gs1.org/voc/"
_FOREIGN = {"urn:epcglobal:cbv": "bare words of CBV 2.0", "http://ns.gs1.org/cbv/": "bare words",
            "https://ns.gs1.org/cbv/": "bare words", "http://ref.gs1.org/cbv/": "bare words"}  # fmt: skip
_GS1 = (CBV, WEB_VOCABULARY)
_LISTS = ("BizStep-", "Disp-", "BTT-", "SDT-", "ER-", "Comp-")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """One list of words. `root` before a word is its URI. `open_words`: a bare word that is not listed is taken too,
    where it is spelt like those of GS1's web vocabulary, which grows without EPCIS. `loose`: names in CBV's namespace
    that look like a word of none of its lists are taken too, as a published example has one (`cbv:my_own_party`)."""

    name: str
    root: str
    words: frozenset[str]
    open_words: bool = False
    loose: bool = False

    def read(self, value: object, prefixes: Mapping[str, str]) -> str:
        """The bare word where it is GS1's, else the full URI. Raises EpcisError."""
        if type(value) is not str:
            raise EpcisError(f"expected a {self.name}, got {value!r:.60}")
        if value in self.words:
            return value
        return self._other(value, prefixes)

    def _other(self, value: str, prefixes: Mapping[str, str]) -> str:
        if ":" not in value:
            if self.open_words and value.replace("_", "").isalpha() and value.isascii() and value[0].isupper():
                return value
            raise EpcisError(
                f"{value!r:.60} is no {self.name} of CBV 2.0; use one of its words, or a full URI of your own"
            )
        canonical(value)
        full = written_out(value, prefixes)
        low = full[:32].lower()  # scheme and host in any case, as RFC 3986 has them
        for start, mend in _FOREIGN.items():
            if low.startswith(start):
                raise EpcisError(f"expected {mend} in JSON, got {value!r:.80}; write the last part alone")
        return self._of_gs1(full) if low.startswith(_GS1) else full

    def _of_gs1(self, full: str) -> str:
        """A name in GS1's namespaces is a word of this list, or nobody's."""
        word = full.removeprefix(self.root) if full.startswith(self.root) else ""
        if word in self.words:
            return word
        own = self.loose and full.startswith(CBV) and not full.startswith(_LISTS, len(CBV)) and len(full) > len(CBV)
        if own or (word and self.open_words):
            return full
        raise EpcisError(f"{full!r:.80} is no {self.name} of CBV 2.0; use one of its words, or a URI of your own")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


BIZ_STEP = Vocabulary("business step", CBV + "BizStep-", _words(
    "accepting arriving assembling collecting commissioning consigning creating_class_instance cycle_counting "
    "decommissioning departing destroying disassembling dispensing encoding entering_exiting holding inspecting "
    "installing killing loading other packing picking receiving removing repackaging repairing replacing reserving "
    "retail_selling sampling sensor_reporting shipping staging_outbound stock_taking stocking storing transporting "
    "unloading unpacking void_shipping"
))  # fmt: skip
DISPOSITION = Vocabulary("disposition", CBV + "Disp-", _words(
    "active available completeness_inferred completeness_verified conformant container_closed container_open damaged "
    "destroyed dispensed disposed encoded expired in_progress in_transit inactive mismatch_class mismatch_instance "
    "mismatch_quantity needs_replacement no_pedigree_match non_conformant non_sellable_other partially_dispensed "
    "recalled reserved retail_sold returned sellable_accessible sellable_not_accessible stolen unavailable unknown"
))  # fmt: skip
TRANSACTION = Vocabulary("business transaction type", CBV + "BTT-", _words(
    "bol cert desadv inv pedigree po poc prodorder recadv rma testprd testres upevt"
))  # fmt: skip
PARTY = Vocabulary(
    "source or destination type", CBV + "SDT-", _words("location owning_party possessing_party"), loose=True
)
ERROR_REASON = Vocabulary("error reason", CBV + "ER-", _words("did_not_occur incorrect_data"))
COMPONENT = Vocabulary("component", CBV + "Comp-", _words(
    "altitude axial_distance azimuth easting elevation_angle height latitude longitude northing polar_angle "
    "spherical_radius x y z"
))  # fmt: skip
EXCEPTION = Vocabulary("sensor exception", WEB_VOCABULARY, _words("ALARM_CONDITION ERROR_CONDITION"))
MEASUREMENT = Vocabulary("measurement type", WEB_VOCABULARY, _words(
    "AbsoluteHumidity AbsorbedDose AbsorbedDoseRate Acceleration Altitude AmountOfSubstance "
    "AmountOfSubstancePerUnitVolume Angle AngularAcceleration AngularMomentum AngularVelocity Area Capacitance "
    "Conductance Conductivity Count Density Dimensionless DoseEquivalent DoseEquivalentRate DynamicViscosity "
    "ElectricCharge ElectricCurrent ElectricCurrentDensity ElectricFieldStrength Energy Exposure Force Frequency "
    "Illuminance Inductance Irradiance KinematicViscosity Length LinearMomentum Luminance LuminousFlux "
    "LuminousIntensity MagneticFlux MagneticFluxDensity MagneticVectorPotential Mass MassConcentration MassFlowRate "
    "MassPerAreaTime MemoryCapacity MolalityOfSolute MolarEnergy MolarMass MolarVolume Power Pressure RadiantFlux "
    "RadiantIntensity Radioactivity RelativeHumidity Resistance Resistivity SolidAngle SpecificVolume Speed "
    "SurfaceDensity SurfaceTension Temperature Time Torque Voltage Volume VolumeFlowRate VolumeFraction "
    "VolumetricFlux Wavenumber"
), open_words=True)  # fmt: skip
