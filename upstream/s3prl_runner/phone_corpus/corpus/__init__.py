"""Seen by S3PRL as `s3prl.downstream.ctc.corpus`."""
