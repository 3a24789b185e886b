"""The studio as a server: its page, requests of several users, and what it keeps out."""

import json
import threading

import pytest

from ivgbench.studio import guard
from ivgbench.studio.saving import Suites
from ivgbench.studio.tickets import Queue

pytest.importorskip("fastapi", reason="the studio's packages are not installed")
testclient = pytest.importorskip("fastapi.testclient", reason="httpx is not installed")
server = pytest.importorskip("ivgbench.studio.server")

TOKEN = "let-me-in"
JSON = {"content-type": "application/json"}


@pytest.fixture
def studio(choices, maker, tmp_path):
    return server.Studio(choices, maker, Queue(maker.work), Suites(tmp_path / "studio"))


@pytest.fixture
def client(studio):
    with user(server.application(studio, guard.rules("127.0.0.1", 80, [], ""))) as one:
        yield one


@pytest.fixture
def remote(studio):
    """Of a studio that others may reach: `client` without the token."""
    with user(
        server.application(studio, guard.rules("0.0.0.0", 80, ["lab.example"], TOKEN)), "http://lab.example"
    ) as one:
        yield one


def user(app, base="http://localhost"):
    return testclient.TestClient(app, base_url=base, headers={"user-agent": "test"})


def done(client, id):
    """The ticket when nothing more happens to it."""
    waiting = threading.Event()
    for _ in range(1000):
        told = client.get(f"/api/tickets/{id}").json()
        if told["state"] in ("done", "cancelled"):
            return told
        waiting.wait(0.01)
    raise AssertionError(told)


def test_from_a_request_to_scored_clips(client, body):
    added = client.post("/api/tickets", json=body)
    assert added.status_code == 201
    told = done(client, added.json()["id"])
    assert [one["state"] for one in told["takes"]] == ["done", "done"] and told["phrases"] == [
        "red star",
        "blue square",
    ]
    assert told["takes"][1]["result"]["name"] == "Mask Norm + TID"
    base = f"/api/tickets/{told['id']}/clips/1"
    assert client.get(f"{base}/frames").headers["content-type"] == "image/png"
    assert client.get(f"{base}/clip.mp4").content[4:8] == b"ftyp"
    assert client.get(f"{base}/clip.mkv").content[:4] == b"\x1a\x45\xdf\xa3"
    assert [one["id"] for one in client.get("/api/tickets").json()] == [told["id"]]


@pytest.mark.parametrize(
    "path", ["clips/2/frames", "clips/-1/frames", "clips/0/clip.exe", "clips/x/frames", "clips/0/..%2f..%2fx"]
)
def test_a_clip_is_addressed_by_its_number_alone(client, body, path):
    id = client.post("/api/tickets", json=body).json()["id"]
    done(client, id)
    assert client.get(f"/api/tickets/{id}/{path}").status_code in (404, 422)


def test_a_mistake_comes_back_with_its_field(client, body):
    answer = client.post("/api/tickets", json={**body, "steps": "many"})
    assert answer.status_code == 422
    assert answer.json() == {"field": "steps", "message": "'many' is no number"}
    for wrong in ("{", "[]", '{"a": NaN}', '{"a": 1, "a": 2}', '{"prompt": "\\ud800"}', "[" * 5000):
        answer = client.post("/api/tickets", content=wrong, headers=JSON)
        assert answer.status_code in (400, 422) and "Traceback" not in answer.text
    assert client.post("/api/tickets", content=b"\xff", headers=JSON).status_code == 400


def test_a_cancel_over_the_wire(client, body, maker):
    reached, go = threading.Event(), threading.Event()

    def gate(step):
        if step == 2:
            reached.set()
            assert go.wait(10)

    maker.fake.gate = gate
    id = client.post("/api/tickets", json=body).json()["id"]
    assert reached.wait(10)
    now = client.get(f"/api/tickets/{id}").json()
    assert now["state"] == "running" and now["takes"][0] | {"result": None} == {
        "method": "plain", "name": "Plain", "seed": 4, "state": "making", "done": 1, "steps": 3, "failed": "",
        "result": None,
    }  # fmt: skip
    client.post(f"/api/tickets/{id}/cancel", json={})
    go.set()
    told = done(client, id)
    assert told["state"] == "cancelled" and [one["state"] for one in told["takes"]] == ["cancelled"] * 2
    assert maker.fake.made() == []


def test_users_wait_for_each_other_and_see_their_own(studio, client, body, maker):
    reached, go = threading.Event(), threading.Event()

    def gate(step):
        reached.set()
        assert go.wait(10)

    maker.fake.gate = gate
    other = user(client.app)
    mine = client.post("/api/tickets", json=body).json()
    assert reached.wait(10)
    theirs = other.post("/api/tickets", json={**body, "seeds": "9"}).json()
    assert theirs["ahead"] == 1 and theirs["state"] == "queued"
    for path in ("", "/clips/0/frames"):
        assert other.get(f"/api/tickets/{mine['id']}{path}").status_code == 404
    assert other.post(f"/api/tickets/{mine['id']}/cancel", json={}).status_code == 404
    assert [one["id"] for one in other.get("/api/tickets").json()] == [theirs["id"]]
    for _ in range(3):
        client.post("/api/tickets", json=body)
    full = client.post("/api/tickets", json=body)
    assert full.status_code == 429 and "cancel it" in full.json()["message"]
    go.set()
    assert done(other, theirs["id"])["state"] == "done" and done(client, mine["id"])["state"] == "done"


def test_a_case_is_saved_and_shown_as_a_line(client, body, tmp_path):
    body["prompt"] = "a red star and a blue square <script>alert(1)</script> $(id)"
    saved = client.post("/api/suites", json={**body, "suite": "mine", "case": "one"}).json()
    assert saved["cases"] == 1 and (tmp_path / "studio" / "mine.jsonl").is_file()
    assert client.get("/api/about").json()["suites"] == ["mine"]
    answer = client.post("/api/commands", json=body)
    assert (
        answer.json()["lines"][0].startswith("ivgbench compare 'a red star")
        and "json" in answer.headers["content-type"]
    )
    for name in ("../mine", "/etc/passwd", "a/b", "static"):
        answer = client.post("/api/suites", json={**body, "suite": name, "case": "one"})
        assert answer.status_code == 422 and answer.json()["field"] == "suite"
    assert [path.name for path in (tmp_path / "studio").iterdir()] == ["mine.jsonl"]


# ---- what is kept out


def test_every_answer_forbids_what_the_page_does_not_need(client):
    for path in ("/", "/assets/studio.js", "/api/about", "/nothing"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
    page = client.get("/").text
    assert " style=" not in page and "<script>" not in page and "onclick" not in page
    cookie = user(client.app).get("/").headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert client.get("/docs").status_code == client.get("/openapi.json").status_code == 404


@pytest.mark.parametrize(
    "path",
    ["/assets/../server.py", "/assets/%2e%2e/server.py", "/assets/..%2fserver.py", "/assets/%2fetc%2fpasswd",
     "/assets/", "//etc/passwd", "/api/tickets/..%2f..%2fx"],
)  # fmt: skip
def test_no_address_reads_a_file(client, path):
    assert client.get(path).status_code in (404, 307, 421)


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("localhost:9000", 200), ("127.0.0.1:80", 200), ("[::1]:80", 200), ("LOCALHOST", 200),
     ("evil.example", 421), ("localhost.evil.example", 421), ("evil.example:80", 421), ("192.168.1.5", 421), ("", 421),
     ("localhost@evil.example", 421), ("localhost, evil.example", 421), ("[::1", 421)],
)  # fmt: skip
def test_a_name_that_points_here_is_not_enough(client, host, status):
    assert client.get("/", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 201), ({"origin": "http://localhost"}, 201), ({"sec-fetch-site": "same-origin"}, 201),
     ({"origin": "http://evil.example"}, 403), ({"origin": "null"}, 403), ({"origin": "http://localhost:81"}, 403),
     ({"origin": "http://localhost.evil.example"}, 403), ({"sec-fetch-site": "cross-site"}, 403),
     ({"content-type": "text/plain"}, 415), ({"content-type": "application/x-www-form-urlencoded"}, 415)],
)  # fmt: skip
def test_another_page_changes_nothing(client, body, headers, status):
    answer = client.post("/api/tickets", content=json.dumps(body), headers={**JSON, **headers})
    assert answer.status_code == status
    assert len(client.get("/api/tickets").json()) == (status == 201)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_refused(client, method):
    answer = client.request(method, "/api/tickets")
    assert answer.status_code == 405 and "access-control-allow-origin" not in answer.headers


def test_a_huge_body_is_not_read(client, body):
    answer = client.post("/api/tickets", content=b"x" * (guard.MOST_BYTES + 1), headers=JSON)
    assert answer.status_code == 413
    assert client.get(f"/?{'x' * 5000}").status_code == 414


@pytest.mark.parametrize(
    "path", ["/", "/api/about", "/assets/studio.js", "/?token=", "/?token=wrong", "/api/about?token=let-me-in"]
)
def test_without_the_token_there_is_nothing(remote, path):
    answer = remote.get(path)
    assert answer.status_code == 401 and "set-cookie" not in answer.headers


def test_the_token_is_taken_once_and_kept_as_a_cookie(remote, body):
    assert remote.post("/api/tickets", json=body).status_code == 401
    answer = remote.get("/", params={"token": TOKEN})
    assert answer.status_code == 200
    cookies = answer.headers.get_list("set-cookie")
    assert len(cookies) == 2 and all("HttpOnly" in one and "SameSite=Strict" in one for one in cookies)
    assert remote.post("/api/tickets", json=body).status_code == 201
    assert remote.get("/api/about", headers={"cookie": f"ivgbench-80-token={TOKEN}x"}).status_code == 401


@pytest.mark.parametrize(("host", "status"), [("lab.example", 401), ("10.0.0.7:80", 401), ("evil.example", 421)])
def test_a_studio_for_others_goes_by_its_names_and_numbers(remote, host, status):
    assert remote.get("/", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.5.5.5", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("192.168.0.2", False), ("localhost.evil.example", False), ("", False)],
)  # fmt: skip
def test_what_is_this_machine_alone(host, loopback):
    assert guard.is_loopback(host) is loopback


OTHERS = ["plain", 'a={"x": 1, "y": [2]}', "a=b,c d", 'a="2|1:0|10:17|=="', "=x", "a=\xe9", ";;"]


@pytest.mark.parametrize("other", OTHERS)
def test_cookies_of_other_servers_on_this_machine_are_in_nobodys_way(remote, body, other):
    remote.get(f"/?token={TOKEN}")
    id = remote.post("/api/tickets", json=body).json()["id"]
    mine = "; ".join(f"{name}={value}" for name, value in remote.cookies.items())
    remote.cookies.clear()
    for both in (f"{other}; {mine}", f"{mine}; {other}"):
        assert remote.get(f"/api/tickets/{id}", headers={"cookie": both.encode("latin-1")}).status_code == 200
