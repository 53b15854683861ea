"""Check that each SUPERB task's corpus is as S3PRL 0.4.18 needs it, without S3PRL.

Each task's module has `check(config, hop)`: the task's configuration with its real paths, and the samples under a state
(None if no encoder is given). It returns findings. An error would stop the training, make it loop, or make its figure
wrong without a word. A warning keeps the figure from being comparable. A note is worth knowing.
"""

from collections.abc import Callable

from mmpt.superb.data_checks import asr, ic, ks, pr, sd
from mmpt.superb.data_checks.findings import ERROR, NOTE, Finding, print_findings
from mmpt.superb.data_checks.published import INCOMPARABLE
from mmpt.superb.encoder_figures import rate
from mmpt.superb.jobs import Job
from mmpt.upstream.errors import InputError

__all__ = ["CHECKS", "Finding", "check_job", "check_jobs", "ctc_hop", "print_findings"]

CHECKS: dict[str, Callable[[dict, int | None], list[Finding]]] = {
    "ks": ks.check,
    "ic": ic.check,
    "pr": pr.check,
    "sd": sd.check,
    "asr": asr.check,
}
WITH_CTC = ("pr", "asr")


def check_job(job: Job, hop: int | None = None) -> list[Finding]:
    """Return the findings about the data that a job's configuration leads to.

    Args:
        hop: samples under a state, for the room that CTC has; None leaves that out.
    """
    try:
        config = job.config
    except InputError as error:
        return [Finding(ERROR, job.task, str(error))]
    findings = CHECKS[job.task](config, hop)
    if not job.on_samples:
        return findings
    others = [finding for finding in findings if not finding.text.endswith(INCOMPARABLE)]
    return [
        *others,
        Finding(NOTE, job.task, "the built samples, whose counts and words are not the published corpus's"),
    ]


def ctc_hop(jobs: list[Job]) -> int | None:
    """Return the most samples under a state of the encoders of a task's jobs; None if the task has no CTC.

    Raises:
        InputError: an encoder cannot be built.
    """
    encoders = dict.fromkeys((job.encoder, job.options.frame_hop) for job in jobs if job.task in WITH_CTC)
    return max((rate(encoder, frame_hop) for encoder, frame_hop in encoders), default=None)


def check_jobs(jobs: list[Job]) -> None:
    """Check the data of each task once, and print what is found.

    Raises:
        InputError: there is an error among it.
    """
    findings = []
    for job in {job.task: job for job in reversed(jobs)}.values():
        findings += check_job(job, ctc_hop([other for other in jobs if other.task == job.task]))
    if print_findings(findings):
        raise InputError("the data cannot be used as they are, see the list above; --no-check skips this check")
