"""The short report as an encapsulated PDF."""

from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from petechia.files.dicom.results.codes import dcm
from petechia.files.dicom.results.identity import Identity, coded


def document(identity: Identity, pdf: bytes) -> Dataset:
    """Return a PDF wrapped as DICOM."""
    out = identity.blank("pdf", EncapsulatedPDFStorage, 1, "DOC")
    del out.FrameOfReferenceUID
    for keyword in ("PositionReferenceIndicator", "BodyPartExamined", "PatientPosition"):
        if keyword in out:
            del out[keyword]
    out.SeriesDescription = identity.description("Petechia report")
    out.ConversionType = "WSD"
    out.AcquisitionDateTime = ""
    out.BurnedInAnnotation = "NO"
    out.RecognizableVisualFeatures = "NO"
    out.DocumentTitle = "Petechia report. Research use only. Not a medical device."
    out.ConceptNameCodeSequence = [coded(dcm("126000", "Imaging Measurement Report"))]
    out.VerificationFlag = "UNVERIFIED"
    out.SourceInstanceSequence = []
    for frame in identity.origin.instances:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = frame.sop_class, frame.sop
        out.SourceInstanceSequence.append(item)
    out.MIMETypeOfEncapsulatedDocument = "application/pdf"
    out.EncapsulatedDocumentLength = len(pdf)
    out.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return out
