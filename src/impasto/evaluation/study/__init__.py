"""Studies with people: which of two outputs, in forced choices by a protocol that is fixed before the first vote.

protocol.py fixes what is asked, trials.py what each rater sees, votes.py keeps what they chose, analysis.py says what
it shows. Nothing here serves a page or draws a picture.
"""

from impasto.evaluation.study.analysis import (
    MIN_RATERS,
    Comparison,
    QuestionResult,
    RaterReport,
    StudyResult,
    analyse,
)
from impasto.evaluation.study.bradley_terry import bradley_terry
from impasto.evaluation.study.power import detectable_rate, votes_needed
from impasto.evaluation.study.protocol import (
    QUESTIONS,
    Question,
    Side,
    Study,
    StudyPair,
    StudyPicture,
    changed_pictures,
    create_study,
    load_study,
    study_file,
    votes_file,
)
from impasto.evaluation.study.trials import ATTENTION_TRIALS, Trial, examples, session
from impasto.evaluation.study.votes import Vote, VoteLog, VoteRecord, read_votes

__all__ = [
    "ATTENTION_TRIALS",
    "MIN_RATERS",
    "QUESTIONS",
    "Comparison",
    "Question",
    "QuestionResult",
    "RaterReport",
    "Side",
    "Study",
    "StudyPair",
    "StudyPicture",
    "StudyResult",
    "Trial",
    "Vote",
    "VoteLog",
    "VoteRecord",
    "analyse",
    "bradley_terry",
    "changed_pictures",
    "create_study",
    "detectable_rate",
    "examples",
    "load_study",
    "read_votes",
    "session",
    "study_file",
    "votes_file",
    "votes_needed",
]
