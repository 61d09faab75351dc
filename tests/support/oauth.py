"""The ChatGPT side of the stand-in for the model: tokens that end, a server of OAuth that renews them, and a 401 for what has
ended or is refused.

Usage: python3 oauth.py DIRECTORY_OF_THE_STAND_IN HOST FOLDER

FOLDER/control.json is read at each request: {"refused": [names of access tokens], "oauth": "ok" or "down", "life": seconds of
a new token}. What was asked is in FOLDER/requests, a line of JSON each, without any token; the port is in FOLDER/port. A
refresh token is good once.
"""

from __future__ import annotations

import base64
import io
import json
import sys
import threading
import time
from http.server import ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, sys.argv[1])
import stand_in_model

HOST, FOLDER = sys.argv[2], Path(sys.argv[3])
LOCK = threading.Lock()
USED: set[str] = set()
MADE = [0]


def control() -> dict:
    try:
        return json.loads((FOLDER / "control.json").read_text())
    except (OSError, ValueError):
        return {}


def encoded(value: dict) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def token(name: str, begun: float, ends: float) -> str:
    who = {"chatgpt_account_id": "account", "chatgpt_plan_type": "pro", "chatgpt_user_id": "user", "user_id": "user"}
    claims = {"iat": int(begun), "exp": int(ends), "jti": name, "email": "nobody@example.com"}
    return ".".join([encoded({"alg": "none"}), encoded(claims | {"https://api.openai.com/auth": who}), "sig"])


def claims(header: str | None) -> dict:
    try:
        middle = (header or "").removeprefix("Bearer ").split(".")[1]
        return json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    except (IndexError, ValueError):
        return {}


class Handler(stand_in_model.H):
    def tell(self, **what: object) -> None:
        with LOCK, (FOLDER / "requests").open("a") as file:
            file.write(json.dumps({"method": self.command, "path": self.path.split("?")[0]} | what) + "\n")

    def admitted(self) -> bool:
        """Whether the access token of the request is good; a request with another one is answered."""
        who = claims(self.headers.get("Authorization"))
        name = who.get("jti")
        good = name is not None and who.get("exp", 0) > time.time() and name not in control().get("refused", [])
        self.tell(token=name, good=good)
        return good

    def refuse(self) -> None:
        said = {"message": "Provided authentication token is expired. Please try signing in again.", "code": "token_expired"}
        self.send_json({"error": said, "status": 401}, 401)

    def do_GET(self) -> None:
        if self.headers.get("Upgrade"):
            return self.send_json({"error": {"message": "no WebSocket"}}, 426)
        if not self.admitted():
            return self.refuse()
        if self.path.split("?")[0].endswith("/models"):
            return self.send_json({"object": "list", "data": [], "models": []})
        self.send_json({"error": {"message": "not here"}}, 404)

    def do_POST(self) -> None:
        path = self.path.split("?")[0]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if path.endswith("/oauth/token"):
            return self.renew(body)
        if not self.admitted():
            return self.refuse()
        if not path.endswith("/responses"):
            return self.send_json({})
        self.rfile = io.BytesIO(body)
        super().do_POST()

    def renew(self, body: bytes) -> None:
        old = json.loads(body).get("refresh_token")
        says = control()
        with LOCK:
            used = old in USED
            if says.get("oauth", "ok") == "ok":
                USED.add(old)
            MADE[0] += 1
            name = f"renewed-{MADE[0]}"
        self.tell(used=used)
        if says.get("oauth", "ok") != "ok":
            return self.send_json({"error": {"message": "down"}}, 500)
        if used or not old:
            said = {"message": "Your refresh token has already been used.", "code": "refresh_token_reused"}
            return self.send_json({"error": said}, 401)
        now = time.time()
        new = token(name, now, now + float(says.get("life", 864000)))
        self.send_json({"id_token": new, "access_token": new, "refresh_token": f"refresh-secret-{name}"})


def main() -> None:
    server = ThreadingHTTPServer((HOST, 0), Handler)
    # The tool lets Codex renew its login by plain HTTP on this machine's loopback alone.
    loopback = ThreadingHTTPServer(("127.0.0.1", server.server_address[1]), Handler)
    threading.Thread(target=loopback.serve_forever, daemon=True).start()
    server.daemon_threads = True
    (FOLDER / "port").write_text(str(server.server_address[1]))
    server.serve_forever()


main()
