"""The scripts of ``deploy/services`` start real servers and leave nothing behind."""

import socket
import subprocess
import sys
from urllib.parse import urlsplit

from neo4j import GraphDatabase
from sqlalchemy import create_engine, text

from chatai_assets_tests.support.server_processes import SCRIPTS


def test_postgresql_answers(database_url):
    engine = create_engine(database_url)
    with engine.connect() as connection:
        assert int(connection.execute(text("SHOW server_version_num")).scalar_one()) >= 150_000
    engine.dispose()


def test_neo4j_is_neo4j_5_community(empty_neo4j):
    auth = (empty_neo4j["NEO4J_USER"], empty_neo4j["NEO4J_PASSWORD"])
    with GraphDatabase.driver(empty_neo4j["NEO4J_URI"], auth=auth) as driver:
        found = driver.execute_query("CALL dbms.components() YIELD versions, edition").records[0]
    assert (found["versions"][0].split(".")[0], found["edition"]) == ("5", "community")


def test_redis_answers(redis_server):
    assert asked(redis_server["REDIS_URL"], b"PING\r\n") == b"+PONG\r\n"


def asked(url: str, question: bytes) -> bytes:
    place = urlsplit(url)
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=5) as connection:
        connection.sendall(question)
        return connection.recv(100)


def test_a_server_stops_when_whoever_started_it_is_gone(redis_server):
    with subprocess.Popen(
        [sys.executable, SCRIPTS / "redis.py", "--until-eof", "--installed-only"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as script:
        assert script.stdin
        assert script.stdout
        url = script.stdout.readline().strip().partition("=")[2]
        assert asked(url, b"PING\r\n") == b"+PONG\r\n"
        script.stdin.close()
        assert script.wait(30) == 0
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", urlsplit(url).port)) != 0
