"""What every card, notice and page must say that the products may not be used for."""

FORBIDDEN_USES = (
    "at work",
    "education",
    "surveillance",
    "law enforcement",
    "border control",
    "asylum",
    "credit",
    "insurance",
    "hiring",
    "manipulating",
    "discriminating",
)
