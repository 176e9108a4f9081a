"""What the server fetches and posts by itself: pictures behind URLs and webhooks, over HTTP and HTTPS, from hosts that are allowed,
are not, lie, hang, or have a certificate that nobody trusts."""
import base64
import hashlib
import hmac
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import unittest

from program import png
from served import PICTURE, Served

PNG = base64.b64decode(PICTURE)
MASK = png(128, 128, lambda x, y: (0, 0, 0, 0 if x < 64 else 255), colour=6)


def answer(body, head="", code="200 OK"):
    return f"HTTP/1.1 {code}\r\n{head}\r\n".encode() + body


ANSWERS = {  # the bytes of a whole answer, by path
    "/a.png": answer(PNG, f"Content-Type: text/plain\r\nContent-Length: {len(PNG)}\r\n"),
    "/mask.png": answer(MASK),
    "/closed": answer(PNG),
    "/chunked": answer(b"".join(b"%x;x=y\r\n%s\r\n" % (len(PNG[i:i + 1000]), PNG[i:i + 1000]) for i in range(0, len(PNG), 1000)) + b"0\r\nX: y\r\n\r\n",
                       "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"),
    "/hook": answer(b"", "Content-Length: 0\r\n"),
}
WRONG = {  # what must be said of each
    "/missing": (answer(b"no", code="404 Not Found"), "answered 404"),
    "/redirect": (answer(b"", "Location: /a.png\r\n", "302 Found"), "answered 302"),
    "/partial": (answer(PNG, code="206 Partial Content"), "answered 206"),
    "/text": (answer(b"hello"), "PNG, JPEG or WebP"),
    "/empty": (answer(b"", "Content-Length: 0\r\n"), "empty"),
    "/cut": (answer(PNG[:100], f"Content-Length: {len(PNG)}\r\n"), "cut short"),
    "/cut-chunk": (answer(b"ffff\r\nabc", "Transfer-Encoding: chunked\r\n"), "cut short"),
    "/large": (answer(b"", "Content-Length: 1048577\r\n"), "more than 1048576 bytes"),
    "/large-chunk": (answer(b"fffffff\r\n", "Transfer-Encoding: chunked\r\n"), "more than 1048576 bytes"),
    "/larger-chunk": (answer(b"ffffffffffffffffff\r\n", "Transfer-Encoding: chunked\r\n"), "chunks are broken"),
    "/odd-chunk": (answer(b"-5\r\nabc", "Transfer-Encoding: chunked\r\n"), "chunks are broken"),
    "/odd-coding": (answer(PNG, "Transfer-Encoding: gzip\r\n"), "transfer encoding"),
    "/odd-length": (answer(PNG, "Content-Length: -5\r\n"), "Content-Length"),
    "/no-http": (b"SSH-2.0-x\r\n\r\n", "no HTTP"),
    "/no-code": (b"HTTP/1.1\r\n\r\n", "no HTTP"),
    "/nothing": (b"", "no HTTP"),
    "/long-head": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40000, "too long"),
}


class Site:
    """Answers one request a connection with what is listed for its path; keeps what was asked."""

    def __init__(self, context=None):
        self.context, self.asked = context, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(client,), daemon=True).start()

    def talk(self, client):
        try:
            client.settimeout(60)
            if self.context:
                client = self.context.wrap_socket(client, server_side=True)
            data = b""
            while b"\r\n\r\n" not in data:
                data += client.recv(4096)
            head, _, body = data.partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            fields = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
            while len(body) < int(fields.get("content-length", 0)):
                body += client.recv(4096)
            path = lines[0].split()[1]
            self.asked.append((path, fields, body))
            if path == "/endless":
                client.sendall(answer(b""))
                while True:
                    client.sendall(b"x" * 65536)
            elif path.startswith("/slow"):
                for byte in ANSWERS["/a.png"] if path == "/slow" else answer(b"")[:-1]:
                    client.sendall(bytes([byte]))
                    time.sleep(0.5)
            else:
                client.sendall(ANSWERS[path] if path in ANSWERS else WRONG[path][0])
        except OSError:
            pass
        finally:
            client.close()

    def close(self):
        self.listener.close()


class Outbound(Served):
    def site(self, context=None):
        site = Site(context)
        self.addCleanup(site.close)
        return site

    def asks(self, url, status=202, **fields):
        return self.json("POST", "/v1/edits", {"prompt": "make it night", "images": [url], "steps": 2, "seed": 1, **fields}, status)

    def refused(self, url, **fields):
        (wrong,) = self.asks(url, 400, **fields)["error"]["fields"]
        self.assertEqual(wrong["field"], "images[0]")
        return wrong["message"]

    def log(self):
        with open(os.path.join(self.folder, "log"), encoding="utf-8") as file:
            return file.read()


class Allowed(Outbound):
    flags = ("--image-host", "127.0.0.1", "--image-host", "localhost", "--max-body", str(1 << 20))

    def test_every_api_that_takes_urls_fetches_them_before_it_accepts(self):
        site = self.site()
        at = f"http://127.0.0.1:{site.port}"
        whole = self.ask("GET", self.wait(self.edit())["images"][0]["url"])[2]
        for path in ("/a.png", "/closed", "/chunked"):
            edit = self.wait(self.asks(at + path))
            self.assertEqual(self.ask("GET", edit["images"][0]["url"])[2], whole, path)
        self.wait(self.asks(f"http://localhost:{site.port}/a.png", images=[at + "/a.png", PICTURE], mask=at + "/mask.png"))
        self.assertEqual({f["connection"] for _, f, _ in site.asked}, {"close"})
        self.assertEqual(site.asked[0][1]["host"], f"127.0.0.1:{site.port}")
        task = self.json("POST", "/v1/flux-kontext-pro", {"prompt": "make it night", "input_image": at + "/a.png", "input_image_2": at + "/closed", "steps": 1})
        self.assertEqual(self.wait(task)["request"]["images"], 2)
        for images, mask in (([at + "/a.png"], None), ([at + "/a.png", "data:image/png;base64," + PICTURE], at + "/mask.png")):
            body = {"prompt": "make it night", "images": [{"image_url": i} for i in images], "steps": 1}
            if mask:
                body["mask"] = {"image_url": mask}
            self.assertTrue(self.json("POST", "/v1/images/edits", body)["data"][0]["b64_json"])
        project = self.json("POST", "/v1/projects", {"name": "p"}, 201)["id"]
        self.wait(self.json("POST", f"/v1/projects/{project}/edits", {"prompt": "a cat", "images": [at + "/a.png"], "steps": 1}, 202))

    def test_what_was_accepted_needs_its_url_no_more(self):
        site = self.site()
        first = self.edit(steps=200)
        edit = self.asks(f"http://127.0.0.1:{site.port}/a.png")
        site.close()
        self.stop(signal.SIGKILL)
        self.start()
        self.json("POST", f"/v1/edits/{first['id']}/cancel")
        self.wait(edit)

    def test_what_is_no_picture_or_no_honest_answer_is_refused_by_its_field(self):
        site = self.site()
        for path, (_, said) in WRONG.items():
            with self.subTest(path):
                self.assertIn(said, self.refused(f"http://127.0.0.1:{site.port}{path}"))
        self.assertEqual([path for path, _, _ in site.asked], list(WRONG))  # no redirect was followed
        self.assertIn("more than", self.refused(f"http://127.0.0.1:{site.port}/endless"))
        begin = time.monotonic()
        self.assertIn("127.0.0.1:1", self.refused("http://127.0.0.1:1/"))
        self.assertLess(time.monotonic() - begin, 5)
        self.assertEqual(self.json("GET", "/v1/edits")["edits"], [])
        self.assertNotIn("make it night", self.log())

    def test_all_pictures_of_a_request_share_its_limit(self):
        large = bytes(700_000)
        ANSWERS["/half"] = answer(large)
        at = f"http://127.0.0.1:{self.site().port}"
        wrong = self.asks(at, 400, images=[at + "/half"] * 2)["error"]["fields"]
        self.assertIn("more than 348576 bytes", wrong[0]["message"] + wrong[-1]["message"])

    def test_nothing_is_fetched_for_a_request_that_is_refused_anyway(self):
        site = self.site()
        at = f"http://127.0.0.1:{site.port}/a.png"
        fields = self.asks(at, 400, steps=0)["error"]["fields"]
        self.assertEqual([f["field"] for f in fields], ["steps"])
        self.json("POST", "/v1/flux-kontext-pro", {"prompt": 1, "input_image": at}, 422)
        self.json("POST", "/v1/images/edits", {"prompt": 1, "images": [{"image_url": at}]}, 400)
        for references in ([], [{}], [{"image_url": 1}], ["x"], {}, [{"file_id": "f"}]):
            self.json("POST", "/v1/images/edits", {"prompt": "a", "images": references}, 400)
        self.json("POST", "/v1/images/edits", {"prompt": "a", "images": [{"image_url": at}], "mask": "x"}, 400)
        self.assertEqual(site.asked, [])

    def test_a_site_that_hangs_holds_nothing_up_and_not_for_long(self):
        site = self.site()
        said, begin = [], time.monotonic()
        paths = ("/slow", "/slow-head")
        threads = [threading.Thread(target=lambda p=p: said.append(self.refused(f"http://127.0.0.1:{site.port}{p}"))) for p in paths]
        for thread in threads:
            thread.start()
        while len(site.asked) < 2:
            time.sleep(0.01)
        asked = time.monotonic()
        edit = self.edit(steps=1)
        self.wait(edit)
        self.assertLess(time.monotonic() - asked, 10)
        for thread in threads:
            thread.join(60)
        took = time.monotonic() - begin
        print(f"let go after {took:.1f} s, at most 30 s")
        self.assertLess(took, 30)
        self.assertEqual(len(said), 2)


class NotAllowed(Outbound):
    def test_urls_are_off_by_default(self):
        site = self.site()
        self.assertIn("fetches no URL", self.refused(f"http://127.0.0.1:{site.port}/a.png"))
        self.json("POST", "/v1/images/edits", {"prompt": "a", "images": [{"image_url": f"http://127.0.0.1:{site.port}/a.png"}]}, 400)
        self.assertEqual(site.asked, [])


class PublicOnly(Outbound):
    flags = ("--image-host", "*", "--image-host", "pictures.example")

    def test_no_private_address_is_reached(self):
        site = self.site()
        for host in ("127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "[64:ff9b::7f00:1]", "2130706433",
                     "localhost", "127.1", "0x7f.1"):
            with self.subTest(host):
                self.assertRegex(self.refused(f"http://{host}:{site.port}/a.png"), "not public|no public address|not found|cannot be fetched")
        for url in (f"http://me:secret@127.0.0.1:{site.port}/a.png", f"http://127.0.0.1:{site.port}/a.png\r\nX: y", "http://", "https://", "http:///a.png"):
            self.refused(url)
        self.assertEqual(site.asked, [])


class Certificates:
    """A certificate authority of the test's own, and certificates by it."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="kontext-ca-")
        self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test authority", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem")

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True, timeout=60)

    def context(self, name, alternatives, ca="ca"):
        with open(os.path.join(self.folder, name + ".ext"), "w", encoding="ascii") as file:
            file.write(f"subjectAltName={alternatives}\n")
        self.openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", name + ".key", "-out", name + ".csr")
        self.openssl("x509", "-req", "-in", name + ".csr", "-CA", ca + ".pem", "-CAkey", ca + ".key", "-CAcreateserial", "-days", "2",
                     "-extfile", name + ".ext", "-out", name + ".pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(self.folder, name + ".pem"), os.path.join(self.folder, name + ".key"))
        return context


class Tls(Outbound):
    flags = ("--image-host", "localhost", "--image-host", "127.0.0.1", "--webhook-host", "localhost")

    @classmethod
    def setUpClass(cls):
        made = Certificates()
        cls.addClassCleanup(shutil.rmtree, made.folder, ignore_errors=True)
        cls.good = made.context("localhost", "DNS:localhost")
        cls.elsewhere = made.context("elsewhere", "DNS:elsewhere.example")
        made.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=nobody", "-days", "2", "-keyout", "nobody.key", "-out", "nobody.pem")
        cls.unknown = made.context("unknown", "DNS:localhost", "nobody")
        cls.old = made.context("old", "DNS:localhost")
        cls.old.maximum_version = ssl.TLSVersion.TLSv1_1
        cls.environment = {"SSL_CERT_FILE": os.path.join(made.folder, "ca.pem")}

    def test_a_picture_over_https(self):
        site = self.site(self.good)
        self.wait(self.asks(f"https://localhost:{site.port}/a.png"))
        self.assertEqual(len(site.asked), 1)

    def test_certificates_that_do_not_hold(self):
        for context, host in ((self.unknown, "localhost"), (self.elsewhere, "localhost"), (self.good, "127.0.0.1"), (self.old, "localhost")):
            site = self.site(context)
            self.assertIn("cannot be fetched", self.refused(f"https://{host}:{site.port}/a.png"))
            self.assertEqual(site.asked, [])
        plain = self.site()
        self.assertIn("cannot be fetched", self.refused(f"https://localhost:{plain.port}/a.png"))

    def task(self, site):
        return self.json("POST", "/v1/flux-kontext-pro", {"prompt": "a cat", "steps": 1, "webhook_url": f"https://localhost:{site.port}/hook", "webhook_secret": "s"})

    def test_a_webhook_over_https(self):
        site = self.site(self.good)
        task = self.task(site)
        end = time.monotonic() + 30
        while not site.asked and time.monotonic() < end:
            time.sleep(0.02)
        (path, fields, body), = site.asked
        self.assertEqual((path, json.loads(body)["id"]), ("/hook", task["id"]))
        self.assertEqual(fields["x-bfl-signature"], "sha256=" + hmac.new(b"s", body, hashlib.sha256).hexdigest())
        while '"outcome":"delivered"' not in self.log():
            time.sleep(0.02)
            self.assertLess(time.monotonic(), end)

    def test_a_webhook_is_not_told_to_whom_no_certificate_names(self):
        sites = [self.site(self.unknown), self.site(self.elsewhere)]
        tasks = [self.task(site) for site in sites]
        end = time.monotonic() + 30
        while not all(f'"webhook":"{t["id"]}"' in self.log() for t in tasks) and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual([site.asked for site in sites], [[], []])
        outcomes = [json.loads(line)["outcome"] for line in self.log().splitlines() if '"webhook"' in line]
        self.assertTrue(outcomes and all("ertificate" in o or "SSL" in o for o in outcomes), outcomes)


if __name__ == "__main__":
    unittest.main()
