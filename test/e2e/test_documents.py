"""What the documents tell people to copy works as it stands there."""
import pathlib
import re

import harness
import tokens

ROOT = pathlib.Path(__file__).resolve().parents[2]
LISTENER = '{ "listeners": [{ "bind": "127.0.0.1:0" }],\n'


def blocks(name):
    """The configurations of feeds in a document."""
    found = re.findall(r"```jsonc\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)
    return [each for each in found if each.startswith('"feeds"')]


def test_configurations_of_feeds_in_the_documents_are_valid(tmp_path):
    signer = tokens.Signer(tmp_path, "ES256", "k1")
    (tmp_path / "jwks.json").write_text(tokens.jwks(signer))
    written = blocks("conf/README.md") + blocks("conf/dialects/README.md")
    assert len(written) == 8
    for number, block in enumerate(written):
        file = tmp_path / f"{number}.json"
        file.write_text(LISTENER + block + "}")
        result = harness.run("check", "-c", file, folder=tmp_path)
        assert result.returncode == 0, block + result.stdout + result.stderr


def test_the_dialect_that_the_document_teaches_is_valid(tmp_path):
    text = (ROOT / "conf/dialects/README.md").read_text()
    taught = text.partition("## A dialect of your own")[2].partition("```jsonc\n")[2].partition("```")[0]
    (tmp_path / "sensors.json").write_text(taught)
    file = tmp_path / "holdfast.json"
    file.write_text(LISTENER + '"feeds": [{ "name": "s", "dialect": "./sensors.json", "source": { "urls": ["ws://127.0.0.1:1/"] } }],'
                    '"routes": [{ "feed": "s" }] }')
    assert harness.run("check", "-c", file, folder=tmp_path).returncode == 0
    (tmp_path / "sensors.json").write_text(taught.replace('"/sensors/*"', '"/sensors/*/*/*"', 1))
    result = harness.run("check", "-c", file, folder=tmp_path)
    assert result.returncode == 2
    assert "feeds[0].dialect" in result.stderr + result.stdout
    assert "sensors.json: client[0].keys" in result.stderr + result.stdout
