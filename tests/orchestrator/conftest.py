"""What tests of buckets share: a server of one, and this process as any machine that uses it."""

import uuid

import pytest

from orchestrator import bucket as buckets
from orchestrator import storage as storages
from tests.orchestrator.s3 import environment, server


@pytest.fixture(scope="session")
def s3():
    """The port of a server that has one bucket."""
    with server() as port:
        import boto3

        told = environment(port, "")
        boto3.client(
            "s3",
            endpoint_url=told["AWS_ENDPOINT_URL"],
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
        ).create_bucket(Bucket="lab")
        yield port


@pytest.fixture
def machine(s3, tmp_path, monkeypatch):
    """This process as a machine without a copy of anything; with `machine(port)`, as another."""

    def become(port=s3, cache=None):
        told = environment(port, cache or tmp_path / uuid.uuid4().hex)
        for key, value in told.items():
            monkeypatch.setenv(key, value)
        for remembered in (buckets.bucket, storages.copied, storages.bucket_of):
            remembered.cache_clear()
        return told

    monkeypatch.setattr(buckets, "AT_FIRST_S", 600.0)  # a bad line on a busy machine is no answer
    become()
    yield become
    for remembered in (buckets.bucket, storages.copied, storages.bucket_of):
        remembered.cache_clear()


@pytest.fixture
def address():
    """A storage that nobody has used."""
    return f"s3://lab/{uuid.uuid4().hex}"
