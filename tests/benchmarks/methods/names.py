"""The methods that have a YAML file for the tiny models."""

OWN = ("CALINET", "KE", "TPATCHER")
"""Those of this repository, which every EasyEdit has."""
WHEEL = ("FT", "KN", "LoRA", "MEMIT", "MEND", "ROME", "SERAC", *OWN)
GIT = (
    "AlphaEdit",
    "CORE",
    "DEFER",
    "DPO",
    "EMMET",
    "GRACE",
    "MALMEN",
    "MELO",
    "MEMIT-FE",
    "PMET",
    "R-ROME",
    "SPHERE",
    "SimIE",
    "ULTRAEDIT",
    "WISE",
)
"""Those that only EasyEdit's main branch has."""
