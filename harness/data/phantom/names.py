"""Names, and their order, of the findings, regions and region labels of a phantom."""

FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)
"""The 14 findings of NIH ChestX-ray14, in its order."""

REGIONS = (
    "right lung",
    "right apical zone",
    "right upper lung zone",
    "right mid lung zone",
    "right lower lung zone",
    "right hilar structures",
    "right costophrenic angle",
    "left lung",
    "left apical zone",
    "left upper lung zone",
    "left mid lung zone",
    "left lower lung zone",
    "left hilar structures",
    "left costophrenic angle",
    "mediastinum",
    "upper mediastinum",
    "cardiac silhouette",
    "trachea",
)
"""The 18 regions of AnaXNet; left and right are the patient's (his left is the image's right)."""

LABELS9 = (
    "lung opacity",
    "pleural effusion",
    "atelectasis",
    "enlarged cardiac silhouette",
    "pulmonary edema/hazy opacity",
    "pneumothorax",
    "consolidation",
    "fluid overload/heart failure",
    "pneumonia",
)
"""The 9 region labels L1 to L9 of AnaXNet."""

LANDMARKS = (
    "carina",
    "right apex",
    "left apex",
    "right costophrenic angle",
    "left costophrenic angle",
    "heart apex",
)
"""The named points of a phantom."""

ORGANS = ("left_lung", "right_lung", "heart")
"""The organ masks of a phantom."""

CLASS = {name: index for index, name in enumerate(FINDINGS)}
REGION = {name: index for index, name in enumerate(REGIONS)}
