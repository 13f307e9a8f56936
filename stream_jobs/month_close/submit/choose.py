"""Which transport an agreement's reports go by."""

from __future__ import annotations

from pathlib import Path

from schemas.agreement import EmailSubmission, FolderSubmission, HttpsSubmission, SftpSubmission, Submission
from schemas.settings import Settings
from stream_jobs.month_close.submit.transport import Transport


def transport_of(settings: Settings, submission: Submission) -> Transport:
    """Ready to send. Raises ConfigurationError when a setting is missing that it needs: nothing was tried."""
    match submission:
        case EmailSubmission():
            from stream_jobs.month_close.submit.email import EmailTransport

            return EmailTransport(settings, submission)
        case HttpsSubmission():
            from stream_jobs.month_close.submit.https import HttpsTransport

            return HttpsTransport(settings, submission)
        case SftpSubmission():
            from stream_jobs.month_close.submit.sftp import SftpTransport

            return SftpTransport(settings, submission)
        case FolderSubmission():
            from stream_jobs.month_close.submit.folder import FolderTransport

            return FolderTransport(Path(submission.folder).expanduser())
