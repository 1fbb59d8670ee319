"""What an enhanced MR image of the standard must say beside geometry, times and pixels.

For simulated scans: the words of a plain Cartesian acquisition with a head coil, as PS3.3 A.36.2
asks of an original image (checked with dciodvfy).
"""

from typing import TYPE_CHECKING

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from petechia.core.echoes import Echoes
from petechia.core.units import GAMMA_HZ_PER_T

if TYPE_CHECKING:
    from petechia.files.dicom.write import Sequencing

PLAIN = {
    "PixelPresentation": "MONOCHROME",
    "VolumetricProperties": "VOLUME",
    "VolumeBasedCalculationTechnique": "NONE",
}
"""Of the image and of each frame."""
PULSES = {
    "EchoPlanarPulseSequence": "NO",
    "GeometryOfKSpaceTraversal": "RECTILINEAR", "RectilinearPhaseEncodeReordering": "LINEAR",
    "MultiPlanarExcitation": "NO", "NumberOfKSpaceTrajectories": 1,
    "OversamplingPhase": "NONE", "PhaseContrast": "NO", "SaturationRecovery": "NO",
    "SegmentedKSpaceTraversal": "SINGLE", "SpectrallySelectedSuppression": "NONE",
    "SteadyStatePulseSequence": "NONE", "TimeOfFlightContrast": "NO",
}  # fmt: skip
IMAGE = {
    "DeviceSerialNumber": "0", "PresentationLUTShape": "IDENTITY", "BurnedInAnnotation": "NO",
    "LossyImageCompression": "00", "AcquisitionDuration": 300.0,
    "ApplicableSafetyStandardAgency": "IEC", "ContentQualification": "RESEARCH",
    "KSpaceFiltering": "NONE", "ResonantNucleus": "1H",
}  # fmt: skip


def filled(**values: object) -> Dataset:
    """Return a dataset that holds values by keyword."""
    out = Dataset()
    for keyword, value in values.items():
        setattr(out, keyword, value)
    return out


def describe(
    ds: Dataset, sequence: "Sequencing", component: str, clock: str, organisation: UID
) -> None:
    """Add what the image as a whole must say.

    Parameters
    ----------
    ds : Dataset
        Enhanced MR image; changed.
    sequence : Sequencing
        What kind of image.
    component : str
        'MAGNITUDE', 'PHASE', 'REAL' or 'IMAGINARY'.
    clock : str
        Time of day.
    organisation : UID
        Of the dimensions.
    """
    said = {**IMAGE, **PULSES, **PLAIN, "AcquisitionContrast": sequence.contrast}
    said |= {"ComplexImageComponent": component, "ContentDate": ds.StudyDate, "ContentTime": clock}
    said["InversionRecovery"] = "YES" if sequence.inverted else "NO"
    if ds.MRAcquisitionType == "3D":
        said["CoverageOfKSpace"] = "FULL"
    if sequence.echo == "SPIN":
        said["MultipleSpinEcho"] = "NO"
    for keyword, value in said.items():
        setattr(ds, keyword, value)
    ds.AcquisitionContextSequence = Sequence([])
    ds.DimensionOrganizationSequence = Sequence([filled(DimensionOrganizationUID=organisation)])
    pointers = (
        ("MREchoSequence", "EffectiveEchoTime"),
        ("FrameContentSequence", "InStackPositionNumber"),
    )
    ds.DimensionIndexSequence = Sequence(
        filled(
            DimensionOrganizationUID=organisation,
            FunctionalGroupPointer=_tag(group),
            DimensionIndexPointer=_tag(element),
        )
        for group, element in pointers
    )


def _tag(keyword: str) -> int:
    return int(tag_for_keyword(keyword) or 0)


def shared_by_frames(
    shared: Dataset,
    sequence: "Sequencing",
    echoes: Echoes,
    ti_s: float,
    flat: bool,
) -> None:
    """Add what every frame shares; `shared` holds the timing already.

    Parameters
    ----------
    shared : Dataset
        Changed.
    sequence : Sequencing
        What kind of image.
    echoes : Echoes
        The scan.
    ti_s : float
        Inversion time, where there is one [s].
    flat : bool
        Whether it was acquired slice by slice.
    """
    n_echoes, (columns, rows, slices) = len(echoes.te_s), echoes.grid.shape
    gradient = sequence.echo == "GRADIENT"
    (timing,) = shared.MRTimingAndRelatedParametersSequence
    timing.EchoTrainLength = n_echoes
    timing.RFEchoTrainLength = 0 if gradient else 16
    timing.GradientEchoTrainLength = n_echoes if gradient else 0
    modes = [("STATIC FIELD", "IEC_NORMAL"), ("RF", "IEC_NORMAL"), ("GRADIENT", "IEC_NORMAL")]
    timing.OperatingModeSequence = Sequence(
        filled(OperatingModeType=kind, OperatingMode=mode) for kind, mode in modes
    )
    timing.SpecificAbsorptionRateSequence = Sequence(
        [filled(SpecificAbsorptionRateDefinition="IEC_HEAD", SpecificAbsorptionRateValue=0.5)]
    )
    brain = filled(CodeValue="12738006", CodingSchemeDesignator="SCT", CodeMeaning="Brain")
    modifier = filled(
        InversionRecovery="YES" if sequence.inverted else "NO", FlowCompensation="NONE",
        Spoiling="RF" if gradient else "NONE", T2Preparation="NO",
        SpectrallySelectedExcitation="NONE", SpatialPresaturation="NONE", PartialFourier="NO",
        ParallelAcquisition="NO",
    )  # fmt: skip
    if sequence.inverted:
        modifier.InversionTimes = [round(ti_s * 1000, 3)]
    view = filled(
        InPlanePhaseEncodingDirection="ROW", MRAcquisitionFrequencyEncodingSteps=rows,
        MRAcquisitionPhaseEncodingStepsInPlane=columns, PercentSampling=100.0,
        PercentPhaseFieldOfView=100.0,
    )  # fmt: skip
    if not flat:
        view.MRAcquisitionPhaseEncodingStepsOutOfPlane = slices
    groups = {
        "MRFOVGeometrySequence": view,
        "FrameAnatomySequence": filled(
            FrameLaterality="U", AnatomicRegionSequence=Sequence([brain])
        ),
        "MRAveragesSequence": filled(NumberOfAverages=1.0),
        "MRImagingModifierSequence": filled(
            MagnetizationTransfer="NONE", BloodSignalNulling="NO", Tagging="NONE",
            TransmitterFrequency=round(echoes.b0_t * GAMMA_HZ_PER_T / 1e6, 6), PixelBandwidth=200.0,
        ),
        "MRModifierSequence": modifier,
        "MRReceiveCoilSequence": filled(
            ReceiveCoilName="HEAD", ReceiveCoilManufacturerName="", ReceiveCoilType="VOLUME",
            QuadratureReceiveCoil="NO",
        ),
        "MRTransmitCoilSequence": filled(
            TransmitCoilName="BODY", TransmitCoilManufacturerName="", TransmitCoilType="BODY"
        ),
    }  # fmt: skip
    for keyword, group in groups.items():
        setattr(shared, keyword, Sequence([group]))


def frame_content(stamp: str, echo: int, k: int) -> Dataset:
    """Return what a frame says of its acquisition and its place; numbers from 0."""
    return filled(
        FrameAcquisitionNumber=1, FrameReferenceDateTime=stamp, FrameAcquisitionDateTime=stamp,
        FrameAcquisitionDuration=300000.0, StackID="1", InStackPositionNumber=k + 1,
        DimensionIndexValues=[echo + 1, k + 1],
    )  # fmt: skip
