"""Hostile requests to every API of the server, as one table, and the judge of what comes back.

A case is bytes for a socket and the statuses that are right for them. The judge also wants the API's own shape of errors; it knows no
server, so that serve_hostile.py can hold it to answers that lie.
"""
import base64
import functools
import json
import os
import socket
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from serve_comfy import kontext
from served import PICTURE

MOST_BODY = 4 << 20  # the server's --max-body in these tests
SECRET = "a secret unicorn"  # in every sound prompt; never in the log
HOSTILE = Path(os.environ["KONTEXT_SOURCE"]) / "tests/data/pictures/hostile"


@dataclass
class Case:
    api: str
    name: str
    raw: bytes
    statuses: set = field(default_factory=lambda: {400})
    closed: bool = False        # no answer is right, too: there is no request to answer
    sound: bool = False         # a 2xx is right, too: odd, but no mistake
    half_close: bool = False    # the client ends its side after `raw`


# ---- Answers and their judge


def exchange(port, raw, half_close=False, seconds=120):
    """(status, {header: value}, body) of the first answer, or None where the connection ended without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        try:
            connection.sendall(raw)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it may have answered, and closed, before all was sent
        data = b""
        while b"\r\n\r\n" not in data:
            try:
                more = connection.recv(1 << 16)
            except ConnectionResetError:
                return None
            if not more:
                return None
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {n.lower(): v.strip() for n, v in (line.split(":", 1) for line in lines[1:] if ":" in line)}
        while len(body) < int(headers.get("content-length", len(body))):
            more = connection.recv(1 << 16)
            if not more:
                break
            body += more
        return int(lines[0].split()[1]), headers, body[:int(headers.get("content-length", len(body)))]


def is_text(value):
    return isinstance(value, str) and bool(value)


def shape_faults(api, status, error):
    """What is wrong with an error's body, by each API's documents."""
    if not isinstance(error, dict) or api in ("native", "openai", "comfyui") and not isinstance(error.get("error"), dict):
        return ["the body is no object, or its error is none"]
    if api == "native":
        inner = error["error"]
        return [] if is_text(inner.get("code")) and is_text(inner.get("message")) and is_text(inner.get("request_id")) else ["no native error"]
    if api == "openai":
        inner = error["error"]
        sound = set(inner) == {"message", "type", "param", "code"} and is_text(inner["message"]) and is_text(inner["type"])
        return [] if sound else ["no error of OpenAI's"]
    if api == "comfyui":
        inner = error["error"]
        sound = set(error) == {"error", "node_errors"} and set(inner) == {"type", "message", "details", "extra_info"}
        return [] if sound and is_text(inner["type"]) and is_text(inner["message"]) else ["no error of ComfyUI's"]
    detail = error.get("detail")
    if status == 422:  # FastAPI's, of both others
        sound = isinstance(detail, list) and detail and all(set(d) == {"loc", "msg", "type"} and is_text(d["msg"]) for d in detail)
        return [] if sound else ["no 422 of FastAPI's"]
    sound = is_text(detail) and (api == "a1111" or is_text(error.get("error")) and is_text(error.get("message")))
    return [] if sound else [f"no error of {api}'s"]


def faults(case, answer):
    """What is wrong with an answer to a case; nothing if it is right."""
    if answer is None:
        return [] if case.closed else ["closed without an answer"]
    status, headers, body = answer
    if case.sound and 200 <= status < 300:
        return []
    if status not in case.statuses:
        return [f"status {status}, expected {sorted(case.statuses)}: {body[:300]!r}"]
    found = []
    if status == 405 and not headers.get("allow"):
        found.append("405 without Allow")
    if not headers.get("content-type", "").startswith("application/json"):
        found.append(f"content type {headers.get('content-type')!r}")
    try:
        error = json.loads(body)
    except ValueError:
        return found + [f"the body is no JSON: {body[:300]!r}"]
    return found + [f"{fault}: {body[:300]!r}" for fault in shape_faults(case.api, status, error)]


# ---- The APIs


@dataclass
class Api:
    name: str
    path: str               # where an edit is asked for
    body: dict              # of a sound one
    bad: int                # the status of a body that is wrong
    syntax: int             # of one that is no JSON
    fields: dict            # name: kind of its value
    form: str = ""          # the path that takes multipart/form-data
    others: tuple = ()      # further paths with a JSON body
    traversal: tuple = ()   # paths that would lead out of a folder: (method, path, statuses)


SAMPLER = {"seed": "integer", "steps": "integer", "cfg": "number", "sampler_name": "choice", "scheduler": "choice", "denoise": "number"}
APIS = [
    Api("native", "/v1/edits", {"prompt": SECRET, "images": [PICTURE], "steps": 1}, 400, 400,
        {"prompt": "text", "negative": "text", "width": "integer", "height": "integer", "seed": "integer", "n": "integer", "steps": "integer",
         "guidance": "number", "true_cfg": "number", "feather": "integer", "keep_reference_size": "flag", "previews": "flag", "like": "choice",
         "mode": "choice", "images": "pictures", "mask": "picture"},
        form="/v1/edits", others=("/v1/tokens", "/v1/projects"),
        traversal=tuple((m, f"/v1/{p}", {400, 404, 405}) for m in ("GET", "DELETE", "PATCH") for p in
                        ("projects/..%2f..%2fedits", "projects/%2e%2e", "projects/../../etc/passwd", "projects/a%00b/file", "edits/..%2fx",
                         "edits/%2e%2e/images/0", "projects/x/turns/99999999999999999999/image", "projects/x/turns/-1/mask"))),
    Api("bfl", "/v1/flux-kontext-pro", {"prompt": SECRET, "input_image": PICTURE, "steps": 1}, 422, 422,
        {"prompt": "text", "input_image": "picture", "input_image_2": "picture", "input_image_4": "picture", "seed": "integer",
         "aspect_ratio": "choice", "prompt_upsampling": "flag", "safety_tolerance": "integer", "output_format": "choice",
         "webhook_url": "choice", "steps": "integer", "guidance": "number"},
        others=("/v1/flux-kontext-max", "/v1/flux-kontext"),
        traversal=(("GET", "/v1/samples/..%2f..%2fsecret?expires=9999999999&signature=00", {403, 404}), ("GET", "/v1/samples/a.png", {403}))),
    Api("openai", "/v1/images/edits", {"prompt": SECRET, "images": [{"image_url": "data:image/png;base64," + PICTURE}], "steps": 1}, 400, 400,
        {"prompt": "text", "n": "integer", "size": "choice", "output_format": "choice", "stream": "flag", "partial_images": "integer",
         "seed": "integer", "steps": "integer", "guidance": "number", "images": "choice", "mask": "choice"},
        form="/v1/images/edits", others=("/v1/images/generations",)),
    Api("a1111", "/sdapi/v1/img2img", {"prompt": SECRET, "init_images": [PICTURE], "steps": 1}, 422, 400,
        {"prompt": "text", "negative_prompt": "text", "init_images": "pictures", "mask": "picture", "mask_blur": "integer", "steps": "integer",
         "seed": "integer", "width": "integer", "height": "integer", "batch_size": "integer", "n_iter": "integer", "cfg_scale": "number",
         "distilled_cfg_scale": "number", "send_images": "flag", "include_init_images": "flag", "override_settings": "object",
         "sampler_name": "choice", "scheduler": "choice"},
        others=("/sdapi/v1/txt2img", "/sdapi/v1/options", "/sdapi/v1/png-info")),
    Api("comfyui", "/prompt", {"prompt": kontext(steps=1)}, 400, 400, {},
        form="/upload/image", others=("/api/prompt", "/queue", "/history"),
        traversal=tuple(("GET", f"/view?{q}", {400}) for q in
                        ("filename=../edits.sqlite", "filename=..%2f..%2fsecret&type=input", "filename=secret&subfolder=..%2f..&type=input",
                         "filename=/etc/passwd", "filename=in.png&type=../input", "filename=%00", "filename=..", "filename=%5c..%5cx&type=input"))),
]

TEXTS = ["3", "[]", "{}", "true", json.dumps("x" * 70000)]
WRONG = {  # JSON text
    "text": TEXTS,
    "choice": ["3", "{}", "true", '"nonsense"', json.dumps("x" * 70000)],
    "integer": ['"many"', "1.5", "[]", "{}", "1e400", "-1e18", "9" * 30, "NaN", "Infinity"],
    "number": ['"much"', "[]", "{}", "1e400", "-1e300", "NaN", "-Infinity"],
    "flag": ['"maybe"', "7", "[]", "{}"],
    "object": ["3", "[]", '"x"', "true"],
}


TAKEN = ("png_bomb.png", "png_text_bomb.png")  # 25 megapixels in 3 KB, a mebibyte of text: pictures all the same


def megapixels(side):
    """A PNG of a few kilobytes that is side x side pixels."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = zlib.compress(bytes((side // 8 + 1) * side), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@functools.cache
def bad_pictures():
    """{name: bytes that are no picture to edit}."""
    sound = base64.b64decode(PICTURE)
    files = {file.name: file.read_bytes() for file in sorted(HOSTILE.iterdir()) if file.stat().st_size < MOST_BODY // 2}
    return {"empty": b"", "text": b"no picture", "cut": sound[:len(sound) // 2], "head": sound[:33], "zeros": bytes(1000),
            "100 megapixels and more": megapixels(10008), "gif": b"GIF89a" + bytes(100), "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', **files}


PRIVATE_URLS = ("http://169.254.169.254/latest/meta-data", "http://127.0.0.1:22/", "http://[::1]/", "http://localhost/x.png", "http://0.0.0.0/",
                "http://10.0.0.1/", "http://[::ffff:127.0.0.1]/", "http://2130706433/", "file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/",
                "http://me:pw@127.0.0.1/", "http://127.0.0.1/\r\nX-Injected: y", "data:image/png;base64,%%%", "data:image/png,AAAA")


def request(method, path, body=b"", headers=None, length=True, host="localhost"):
    fields = {"Host": host, "Content-Type": "application/json", **(headers or {})}
    if length and (body or method != "GET"):
        fields.setdefault("Content-Length", str(len(body)))
    lines = "".join(f"{n}: {v}\r\n" for n, v in fields.items() if v is not None)
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body


def with_field(api, name, value):
    """The sound body with the JSON text `value` in one field."""
    parts = [f"{json.dumps(n)}: {json.dumps(v)}" for n, v in api.body.items() if n != name] + [f"{json.dumps(name)}: {value}"]
    return ("{" + ", ".join(parts) + "}").encode()


# ---- The table


def method_cases(api):
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"):
        for path in (api.path, *api.others):
            yield Case(api.name, f"{method} {path}", request(method, path), {405})


def framing_cases(api):
    path, body = api.path, json.dumps(api.body).encode()
    empty, large = {api.syntax, api.bad}, {413}

    def case(name, raw, statuses, **options):
        return Case(api.name, "framing: " + name, raw, statuses, **options)
    yield case("no length", request("POST", path, length=False), empty)
    yield case("a body without a length", request("POST", path, body, length=False), empty)
    yield case("length 0", request("POST", path, b"", {"Content-Length": "0"}), empty)
    yield case("length of a tebibyte", request("POST", path, b"x", {"Content-Length": str(1 << 40)}), large)
    yield case("a body over the limit", request("POST", path, b" " * (MOST_BODY + 1)), large)
    for length in ("-1", "+5", ""):
        yield case(f"length {length!r}", request("POST", path, body, {"Content-Length": length}), {400})
    for length in ("abc", "1e3", "0x10", "9" * 40, "5, 5"):  # told before the path is looked at
        yield Case("native", f"framing: length {length!r}", request("POST", path, body, {"Content-Length": length}))
    yield case("two lengths", request("POST", path, body).replace(b"\r\n", b"\r\nContent-Length: 5\r\n", 1), {400})
    yield case("a length and chunks", request("POST", path, body, {"Transfer-Encoding": "chunked"}), {400})
    yield case("longer than sent", request("POST", path, body, {"Content-Length": str(len(body) + 100)}), {400}, half_close=True)
    chunked = {"Transfer-Encoding": "chunked"}
    yield case("chunks end early", request("POST", path, b"%x\r\n%s\r\n" % (len(body) + 10, body), chunked, False), {400, api.syntax}, half_close=True)
    yield case("chunks of no size", request("POST", path, b"zz\r\n" + body, chunked, False), {400, api.syntax}, half_close=True)
    yield case("chunks of a huge size", request("POST", path, b"f" * 16 + b"\r\n" + body, chunked, False), {400, 413, api.syntax}, half_close=True)
    yield case("chunks over the limit", request("POST", path, (b"100000\r\n" + b" " * (1 << 20) + b"\r\n") * 5 + b"0\r\n\r\n", chunked, False), large)
    yield case("sound chunks", request("POST", path, b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), chunked, False), set(), sound=True)
    yield case("another transfer encoding", request("POST", path, body, {"Transfer-Encoding": "gzip"}), {400, 501}, sound=True)
    yield case("compressed", request("POST", path, body, {"Content-Encoding": "gzip"}), {400, 415}, sound=True)
    yield case("it waits for 100", request("POST", path, body, {"Expect": "200-ok"}), {400, 417}, sound=True)


def json_cases(api):
    bodies = {"empty": b"", "open": b"{", "list": b"[]", "null": b"null", "number": b"3", "text": b'"x"', "deep": b"[" * 100000,
              "deep object": b'{"a":' * 5000 + b"1" + b"}" * 5000, "twice": b'{"prompt":"a","prompt":"b"}', "not UTF-8": b'{"prompt":"\xff\xfe"}',
              "overlong": b'{"prompt":"\xc0\xaf"}', "surrogate": b'{"prompt":"\\ud800"}', "NUL": b'{"prompt":"a\x00b"}', "UTF-16": '{"prompt":"a"}'.encode("utf-16"),
              "more after it": b'{"prompt":"a"} x', "NaN": b'{"prompt":NaN}', "comment": b'{"prompt":"a" /* b */}', "single quotes": b"{'prompt':'a'}",
              "many values": b'{"a":[' + b"0," * 1500000 + b"0]}", "a form": b"prompt=a&steps=1", "XML": b"<a/>", "zeros": bytes(1000)}
    for path in (api.path, *api.others):
        for name, body in bodies.items():
            empty_is_sound = name in ("number", "text", "null", "list") and path in ("/history", "/queue")
            yield Case(api.name, f"JSON {name} to {path}", request("POST", path, body), {api.syntax, api.bad}, sound=empty_is_sound)


def field_cases(api):
    for name, kind in api.fields.items():
        for value in WRONG.get(kind, ()):
            syntax = {api.syntax} if value in ("NaN", "Infinity", "-Infinity", "1e400") else set()
            yield Case(api.name, f"{name}: {value[:40]}", request("POST", api.path, with_field(api, name, value)), {api.bad} | syntax)
    for name, sampler in (("31", SAMPLER), ("35", {"guidance": "number"}), ("6", {"text": "text"})) if api.name == "comfyui" else ():
        for field_name, kind in sampler.items():
            for value in WRONG[kind]:
                graph = json.dumps(kontext(steps=1, seed=7))
                old = json.dumps(kontext(steps=1, seed=7)[name]["inputs"][field_name])
                body = '{"prompt": ' + graph.replace(f'"{field_name}": {old}', f'"{field_name}": {value}', 1) + "}"
                as_text = kind == "text" and value in ("3", "true")  # ComfyUI itself makes text of them
                yield Case(api.name, f"node {name}, {field_name}: {value[:40]}", request("POST", api.path, body.encode()), {400}, sound=as_text)


def picture_cases(api):
    pictures = [(name, kind) for name, kind in api.fields.items() if kind in ("picture", "pictures")]
    texts = {"no base64": "%%%", "of another alphabet": "_-_-", "of one digit": "A", **{u: u for u in PRIVATE_URLS}}
    texts.update((name, base64.b64encode(data).decode()) for name, data in bad_pictures().items())
    for name, kind in pictures:
        for label, text in texts.items():
            value = json.dumps([text] if kind == "pictures" else text)
            if text == "" and kind == "picture" and api.name == "a1111":
                continue  # A1111's clients send an empty mask for none
            yield Case(api.name, f"{name}: {label}", request("POST", api.path, with_field(api, name, value)), {api.bad}, sound=label in TAKEN)
        for value in ("3", "{}", "true", "[3]", "[[]]", "[null]", json.dumps([PICTURE] * 100)):
            yield Case(api.name, f"{name}: {value[:20]}", request("POST", api.path, with_field(api, name, value)),
                       {api.bad} if len(value) < MOST_BODY else {413})
    for label, text in texts.items() if api.name == "openai" else ():
        url = text if "://" in text or text.startswith("data:") else "data:image/png;base64," + text
        for name, value in (("images", [{"image_url": url}]), ("mask", {"image_url": url})):
            yield Case(api.name, f"{name}: {label}", request("POST", api.path, with_field(api, name, json.dumps(value))), {400}, sound=label in TAKEN)
    for url in PRIVATE_URLS if api.name == "bfl" else ():
        yield Case(api.name, f"webhook: {url}", request("POST", api.path, with_field(api, "webhook_url", json.dumps(url))), {422})


def part(name, data, file=None):
    head = f'Content-Disposition: form-data; name="{name}"' + (f'; filename="{file}"' if file is not None else "")
    return b"--b\r\n" + head.encode("utf-8", "surrogateescape") + b"\r\n\r\n" + data + b"\r\n"


def form_cases(api):
    if not api.form:
        return
    image = part("image", base64.b64decode(PICTURE), "in.png")
    prompt = part("prompt", b"a") if api.name != "comfyui" else b""

    def case(name, body, boundary="b", statuses=(400,), **options):
        return Case(api.name, "form: " + name, request("POST", api.form, body, {"Content-Type": f"multipart/form-data{boundary and '; boundary=' + boundary}"}),
                    set(statuses), **options)
    whole = prompt + image + b"--b--\r\n"
    yield case("no boundary", whole, "")
    yield case("an empty boundary", whole, '""')
    yield case("another boundary", whole, "c")
    yield case("no body", b"")
    yield case("no end", prompt + image)
    yield case("cut in a part's head", prompt + b'--b\r\nContent-Disposition: form-data; na--b--\r\n')
    yield case("no parts", b"--b--\r\n")
    yield case("10,000 parts", part("x", b"") * 10000 + whole)
    yield case("a part without a name", b"--b\r\n\r\nx\r\n" + b"--b--\r\n")
    yield case("a part's head of a mebibyte", b"--b\r\nX: " + b"y" * (1 << 20) + b"\r\n\r\nx\r\n" + whole)
    yield case("no UTF-8 in a field", part("prompt", b"\xff\xfe") + image.replace(b"in.png", b"\xff.png") + b"--b--\r\n", sound=api.name == "comfyui")
    yield case("NULs", b"\0" * 1000 + whole, sound=True)
    for name, data in bad_pictures().items():
        yield case("picture " + name, prompt + part("steps", b"1") + part("image", data, "in.png") + b"--b--\r\n", sound=name in TAKEN)
    names = ("../x.png", "/etc/x.png", "..", ".", ".hidden.png", "", "x" * 300, "a\tb.png", "a/../../b.png")
    for name in names if api.name == "comfyui" else ():
        yield case(f"file {name[:20]!r}", part("image", base64.b64decode(PICTURE), name) + b"--b--\r\n")
    for folder in ("..", "a/../..", "/tmp", "a//b", ".git", "a/./b", "x" * 600, "a\0b", "..\\..") if api.name == "comfyui" else ():
        yield case(f"folder {folder[:20]!r}", image + part("subfolder", folder.encode()) + b"--b--\r\n")


def place_cases(api):
    body = json.dumps(api.body).encode()
    for method, path, statuses in api.traversal:
        yield Case(api.name, f"{method} {path}", request(method, path), statuses)
    for host in ("evil.example", "localhost.evil.example", "evil.example:80", "localhost@evil.example", "localhost:80@evil.example", "[::1].evil.example",
                 "127.0.0.1.evil.example", "", "localhost evil.example", "127.0.0.2", "0x7f000001"):
        yield Case(api.name, f"Host {host!r}", request("POST", api.path, body, host=host), {400, 403})
    for origin in ("https://evil.example", "null", "http://localhost.evil.example", "http://localhost:80@evil.example", "http://localhost@evil.example",
                   "file://", "evil"):
        yield Case(api.name, f"Origin {origin}", request("POST", api.path, body, {"Origin": origin}), {403})
    yield Case(api.name, "no Host", request("POST", api.path, body, host=None), {400, 403})
    yield Case(api.name, "two Hosts", request("POST", api.path, body).replace(b"\r\n", b"\r\nHost: evil.example\r\n", 1), {400, 403})
    yield Case(api.name, "broken escape", request("POST", api.path + "/%zz", body), {400, 404})
    yield Case(api.name, "an escape in the query", request("POST", api.path + "?a=%", body), {400}, sound=True)
    yield Case(api.name, "unknown below it", request("GET", api.path + ("/nothing" if api.name == "comfyui" else "/no/such/thing")), {404})


def head_cases():
    """Broken before any API is told: HTTP itself answers, or the connection ends."""
    def case(name, raw, statuses=(400,), closed=True, **options):
        return Case("native", "head: " + name, raw, set(statuses), closed=closed, **options)
    get = b"GET /v1/model HTTP/1.1\r\nHost: localhost\r\n"
    yield case("a header of a mebibyte", get + b"X: " + b"y" * (1 << 20) + b"\r\n\r\n", (400, 431))
    yield case("100,000 headers", get + b"X: y\r\n" * 100000 + b"\r\n", (400, 431))
    yield case("a URL of a mebibyte", b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 414))
    yield case("a method of a mebibyte", b"G" * (1 << 20) + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    yield case("no HTTP", b"hello\r\n\r\n", half_close=True)
    yield case("zeros", bytes(5000), half_close=True)
    yield case("nothing", b"", half_close=True)
    yield case("cut in the head", get, half_close=True, sound=True)  # POCO takes the end for the empty line; a body would be missed
    yield case("TLS", bytes.fromhex("16030100f8010000f40303") + bytes(240), half_close=True)
    yield case("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 403, 404, 405, 505))
    yield case("HTTP/9.9", b"GET /v1/model HTTP/9.9\r\nHost: localhost\r\n\r\n", (400, 505), sound=True)
    yield case("NUL in the URL", b"GET /v1/\0 HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 404))
    yield case("no UTF-8 in the URL", b"GET /v1/\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 404))
    yield case("another scheme's URL", b"GET http://evil.example/v1/model HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 403, 404), sound=True)
    yield case("header without a name", get + b": x\r\n\r\n", sound=True)
    yield case("folded header", get + b"X: a\r\n b\r\n\r\n", sound=True)


def cases():
    for api in APIS:
        for kind in (method_cases, framing_cases, json_cases, field_cases, picture_cases, form_cases, place_cases):
            yield from kind(api)
    yield from head_cases()


def websocket_frames():
    """{name: bytes after the handshake of /ws}."""
    def frame(opcode, body, declared=None, masked=True, fin=True):
        size = len(body) if declared is None else declared
        length = bytes([size]) if size < 126 else b"\x7e" + struct.pack(">H", size) if size < 1 << 16 else b"\x7f" + struct.pack(">Q", size)
        head = bytes([(128 if fin else 0) | opcode]) + bytes([length[0] | (128 if masked else 0)]) + length[1:]
        return head + (bytes(4) if masked else b"") + body
    return {"random": os.urandom(4096), "zeros": bytes(4096), "HTTP": request("GET", "/v1/model"), "unmasked": frame(1, b"{}", masked=False),
            "a huge size": frame(1, b"", 1 << 62), "a negative size": frame(1, b"", (1 << 64) - 1), "2 GiB": frame(2, b"x", (1 << 31) - 1),
            "reserved bits": bytes([0xF1, 0x80]) + bytes(4), "opcode 15": frame(15, b""), "pieces without end": frame(1, b"x", fin=False) * 1000,
            "a long ping": frame(9, b"x" * 60000), "pings": frame(9, b"x") * 1000, "close with one byte": frame(8, b"x"), "no UTF-8": frame(1, b"\xff"),
            "deep": frame(1, b"[" * 9000), "cut": frame(1, b"x", 100)[:8], "wrong types": frame(1, b'{"type":"feature_flags","data":3}')}
