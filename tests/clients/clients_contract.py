"""The native API against its contract: every answer of the running server has a documented status and fits its schema, in which
undocumented fields are mistakes; and the same check must fail on a wrong schema."""
import base64
import copy
import json
import os
import re
import unittest
from pathlib import Path

import jsonschema
from prometheus_client.parser import text_string_to_metric_families

from program import png
from served import PICTURE, Served

SERVE = Path(os.environ["KONTEXT_SOURCE"]) / "src/serve"
PNG = base64.b64decode(PICTURE)
HALF = png(128, 128, lambda x, y: (0, 0, 0) if x < 64 else (255, 255, 255))


def strict(schema):
    """The same schema, with objects that have no fields but the described ones."""
    if isinstance(schema, list):
        return [strict(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "allOf" not in schema:
        out.setdefault("additionalProperties", False)
    return out


class Described(Served):
    def setUp(self):
        super().setUp()
        self.document = self.json("GET", "/v1/openapi.json")
        self.checked = set()

    def check(self, document, method, template, path, body=None, status=200):
        got, headers, data = self.ask(method, path, body)
        self.assertEqual(got, status, data[:300])
        responses = document["paths"][template][method.lower()]["responses"]
        self.assertIn(str(got), responses, f"{method} {template}")
        kind = headers["Content-Type"].split(";")[0]
        content = responses[str(got)]["content"]
        self.assertIn(kind, content, f"{method} {template}")
        self.checked.add((method, template))
        if kind != "application/json":
            return data
        value = json.loads(data)
        schema = {"components": strict(document["components"]), **strict(content[kind]["schema"])}
        jsonschema.validate(value, schema, jsonschema.Draft202012Validator)
        return value


class Contract(Described):
    def test_answers_fit_their_schemas(self):
        def check(*arguments, **named):
            return self.check(self.document, *arguments, **named)

        edit = check("POST", "/v1/edits", "/v1/edits", {"prompt": "a cat", "steps": 60}, status=202)
        one, path = "/v1/edits/{id}", f"/v1/edits/{edit['id']}"
        while "progress" not in check("GET", one, path):
            pass
        check("GET", "/v1/edits", "/v1/edits?limit=1")
        check("POST", one + "/cancel", path + "/cancel")
        check("GET", one, path)
        check("POST", "/v1/edits", "/v1/edits", {"prompt": 3}, status=400)
        ready = self.wait(self.edit(steps=1))
        path = f"/v1/edits/{ready['id']}"
        check("GET", one, path)
        check("GET", one + "/images/{index}", path + "/images/0")
        check("GET", one + "/images/{index}", path + "/images/7", status=404)
        check("GET", one + "/events", path + "/events")
        check("DELETE", one, path)
        check("GET", one, path, status=404)
        check("GET", "/v1/model", "/v1/model")
        check("POST", "/v1/tokens", "/v1/tokens", {"prompt": "a cat"})
        check("POST", "/v1/tokens", "/v1/tokens", {}, status=400)

    def test_projects_fit_their_schemas(self):
        def check(method, template, body=None, status=200, turn=1, index=1, project=None, deletion=1):
            path = template.replace("{project}", project or self.project).replace("{turn}", str(turn)).replace("{index}", str(index)).replace("{deletion}", str(deletion))
            return self.check(self.document, method, template, path, body, status)

        one = "/v1/projects/{project}"
        self.project = self.check(self.document, "POST", "/v1/projects", "/v1/projects", {"name": "Trip"}, 201)["id"]
        self.check(self.document, "POST", "/v1/projects", "/v1/projects", {"name": 1}, 400)
        check("POST", one + "/turns", PNG, 201)
        check("POST", one + "/turns", b"no picture", 400)
        mask = base64.b64encode(HALF).decode()
        edit = check("POST", one + "/turns/{turn}/edits", {"prompt": "make it night", "steps": 2, "n": 2, "images": [PICTURE], "mask": mask, "feather": 3}, 202)
        self.wait(edit)
        self.wait(check("POST", one + "/edits", {"prompt": "a cat", "steps": 1}, 202))
        self.wait(check("POST", one + "/turns/{turn}/again", {"seed": 9}, 202, turn=2))
        turns = check("GET", one)["turns"]
        self.assertTrue(turns[1]["drift"] and turns[1]["recipe"] and len(turns) == 5)
        for body in ({"prompt": 1}, {"prompt": "a", "sead": 1}):
            check("POST", one + "/edits", body, 400)
            check("POST", one + "/turns/{turn}/edits", body, 400)
        check("POST", one + "/turns/{turn}/again", {"prompt": "a"}, 400, turn=2)
        for part in ("image", "thumbnail"):
            check("GET", one + "/turns/{turn}/" + part)
            check("GET", one + "/turns/{turn}/" + part, status=404, turn=99)
        check("GET", one + "/turns/{turn}/mask", turn=2)
        check("GET", one + "/turns/{turn}/mask", status=404, turn=1)
        check("GET", one + "/turns/{turn}/references/{index}", turn=2)
        check("GET", one + "/turns/{turn}/references/{index}", status=404, turn=2, index=7)
        check("PATCH", one + "/turns/{turn}", {"name": "night"})
        check("PATCH", one + "/turns/{turn}", {"name": ""}, 400)
        deletion = check("DELETE", one + "/turns/{turn}", turn=2)["deletion"]
        self.assertEqual(check("GET", one)["deleted"][0]["deletion"], deletion)
        check("POST", one + "/deletions/{deletion}/restore", deletion=deletion)
        check("POST", one + "/deletions/{deletion}/restore", status=404, deletion=77)
        check("DELETE", one + "/turns/{turn}", turn=2)
        check("POST", one + "/purge")
        check("PATCH", one, {"name": "Journey"})
        check("PATCH", one, {}, 400)
        file = check("GET", one + "/file")
        self.check(self.document, "POST", "/v1/projects/files", "/v1/projects/files?name=copy", file, 201)
        self.check(self.document, "POST", "/v1/projects/files", "/v1/projects/files", b"no project", 400)
        self.assertEqual(len(self.check(self.document, "GET", "/v1/projects", "/v1/projects")["projects"]), 2)
        check("DELETE", one)
        check("POST", one + "/restore")
        for method, template in sorted(self.checked):
            if "{project}" in template:
                body = PNG if template.endswith("/turns") else {"name": "x", "prompt": "x"}
                check(method, template, body if method in ("POST", "PATCH") else None, 404, project="nothing")
        described = {(m.upper(), p) for p, item in self.document["paths"].items() for m in item if p.startswith("/v1/projects") and m != "parameters"}
        self.assertEqual(described - self.checked, set())

    def test_what_operators_ask_for(self):
        for path in ("/healthz", "/readyz", "/metrics", "/v1/fit"):
            self.check(self.document, "GET", path, path)

    def test_prometheus_reads_the_metrics(self):
        self.wait(self.edit(steps=3))
        families = {f.name: f for f in text_string_to_metric_families(self.ask("GET", "/metrics")[2].decode())}
        self.assertEqual([n for n, f in families.items() if not f.documentation or f.type not in ("counter", "gauge")], [])
        value = {(s.name, s.labels.get("state")): s.value for f in families.values() for s in f.samples}
        told = {state: value["kontext_edits_total", state] for state in ("accepted", "ready", "failed")}
        self.assertEqual(told, {"accepted": 1, "ready": 1, "failed": 0})
        self.assertEqual((value["kontext_steps_total", None], value["kontext_edits_waiting", None], value["kontext_store_writable", None]), (3, 0, 1))
        for name in ("kontext_step_seconds", "kontext_store_picture_bytes", "process_resident_memory_bytes"):
            self.assertGreater(value[name, None], 0, name)
        self.assertEqual(families["kontext_info"].samples[0].labels["model"], "mini")

    def test_every_route_is_described_and_every_described_one_is_there(self):
        for template, item in self.document["paths"].items():
            for method in set(item) - {"parameters"}:
                path = template.replace("{index}", "0").replace("{", "").replace("}", "")
                _, _, data = self.ask(method.upper(), path, b"{" if method in ("post", "put", "patch") else None)
                self.assertNotIn(b"there is nothing at this path", data, f"{method} {template}")
        self.assertIn(b"there is nothing at this path", self.ask("GET", "/v1/undescribed")[2])
        routes = set()
        for name in ("native.cc", "project_routes.cc", "review_routes.cc", "server.cc"):
            routes |= set(re.findall(r'"(GET|POST|PATCH|PUT|DELETE)", "([a-z0-9/*._]+)"', (SERVE / name).read_text()))
        self.assertGreater(len(routes), 40)
        described = {(m.upper(), re.sub(r"\{\w+\}", "*", p)[1:]) for p, item in self.document["paths"].items() for m in item if m != "parameters"}
        self.assertEqual(routes, described)

    def test_every_field_of_an_edit_is_described_and_every_described_one_is_known(self):
        described = set(self.document["components"]["schemas"]["EditRequest"]["properties"])
        read = set(re.findall(r'reader\.\w+\("(\w+)"', (SERVE / "draft.cc").read_text()))
        self.assertEqual(read, described)
        form = self.document["paths"]["/v1/edits"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
        self.assertEqual(set(form) - {"image"}, described - {"images"})
        for name in described:
            error = self.json("POST", "/v1/edits", {"prompt": "a", name: {"no": "value"}}, 400)["error"]
            self.assertEqual([f["field"] for f in error["fields"]], [name])
            self.assertNotIn("is no field", error["message"])

    def test_a_wrong_contract_is_caught(self):
        wrong = copy.deepcopy(self.document)
        wrong["components"]["schemas"]["Model"]["properties"]["name"] = {"type": "integer"}
        with self.assertRaises(jsonschema.ValidationError):
            self.check(wrong, "GET", "/v1/model", "/v1/model")
        wrong = copy.deepcopy(self.document)
        del wrong["components"]["schemas"]["Model"]["properties"]["license"]
        with self.assertRaises(jsonschema.ValidationError):
            self.check(wrong, "GET", "/v1/model", "/v1/model")
        wrong = copy.deepcopy(self.document)
        del wrong["paths"]["/v1/edits/{id}"]["get"]["responses"]["404"]
        with self.assertRaises(AssertionError):
            self.check(wrong, "GET", "/v1/edits/{id}", "/v1/edits/x", status=404)


class Review(Described):
    flags = ("--review",)

    def test_reviews_fit_their_schemas(self):
        def check(method, what, body=None, status=200, id=None, index=0):
            template = "/v1/review/{id}" + what
            return self.check(self.document, method, template, template.replace("{id}", id or edit["id"]).replace("{index}", str(index)), body, status)

        edit = {"id": "nothing"}
        routes = [("GET", "", None), ("GET", "/images/{index}", None), ("GET", "/inputs/{index}", None), ("POST", "/approve", {}), ("POST", "/refuse", {})]
        for method, what, body in routes:
            check(method, what, body, 404)
        for word in ("refuse", "approve"):
            edit = self.edit(seed=7)
            while not self.check(self.document, "GET", "/v1/review", "/v1/review?limit=1")["waiting"]:
                pass
            self.assertEqual(self.check(self.document, "GET", "/v1/edits/{id}", f"/v1/edits/{edit['id']}")["progress"]["stage"], "review")
            check("GET", "")
            check("GET", "/images/{index}")
            check("GET", "/inputs/{index}")
            check("POST", "/" + word, {"reason": 1}, 400)
            check("POST", "/" + word, {"reason": "so"})
            if word == "refuse":
                check("POST", "/approve", {}, 409)
                check("POST", "/refuse", {}, 409)
        self.assertIn("next", self.check(self.document, "GET", "/v1/review/decisions", "/v1/review/decisions?limit=1"))
        described = {(m.upper(), p) for p, item in self.document["paths"].items() for m in item if p.startswith("/v1/review") and m != "parameters"}
        self.assertEqual(described - self.checked, set())


if __name__ == "__main__":
    unittest.main()
