"""Check that each SUPERB task's corpus is as S3PRL 0.4.18 needs it, without S3PRL.

Each task's module has `check(config, hop)`: the task's configuration with its real paths, and the samples under a state
(None if no encoder is given). It returns findings. An error would stop the training, make it loop, or make its figure
wrong without a word. A warning keeps the figure from being comparable. A note is worth knowing.
"""

from collections.abc import Callable

from mmpt.superb.data_checks import asr, ic, ks, pr, sd
from mmpt.superb.data_checks.findings import ERROR, NOTE, Finding, print_findings
from mmpt.superb.data_checks.published import INCOMPARABLE
from mmpt.superb.jobs import Job
from mmpt.upstream.errors import InputError
from mmpt.upstream.mmpt_av import load_encoder

__all__ = ["CHECKS", "Finding", "check_job", "check_jobs", "print_findings"]

CHECKS: dict[str, Callable[[dict, int | None], list[Finding]]] = {
    "ks": ks.check,
    "ic": ic.check,
    "pr": pr.check,
    "sd": sd.check,
    "asr": asr.check,
}


def check_job(job: Job) -> list[Finding]:
    """Return the findings about the data that a job's configuration leads to."""
    try:
        config = job.config
    except InputError as error:
        return [Finding(ERROR, job.task, str(error))]
    hop = None
    if job.encoder.checkpoint is not None:
        hop = job.options.frame_hop or load_encoder(job.encoder.checkpoint).hop
    findings = CHECKS[job.task](config, hop)
    if not job.on_samples:
        return findings
    others = [finding for finding in findings if not finding.text.endswith(INCOMPARABLE)]
    return [
        *others,
        Finding(NOTE, job.task, "the built samples, whose counts and words are not the published corpus's"),
    ]


def check_jobs(jobs: list[Job]) -> None:
    """Check the data of each task once, and print what is found.

    Raises:
        InputError: there is an error among it.
    """
    findings = []
    for job in {job.task: job for job in reversed(jobs)}.values():
        findings += check_job(job)
    if print_findings(findings):
        raise InputError("the data cannot be used as they are, see the list above; --no-check skips this check")
