"""Chat rooms: the proxy is the room, with a source and without; and dialect files of one's own."""
import json
import shutil

import pytest

import exchanges
import feeds
import harness
import peers
import wire

SHIPPED = harness.ROOT / "conf/dialects/rooms.json"


class Application(exchanges.Json):
    """Hears what is forwarded; says what a test publishes to all."""

    def message(self, connection, message):
        connection.subscribe([message.get("room", "")])

    def commands(self, message):
        return [], []

    def hears(self, connection, key):
        return True


def rooms(start, source, dialect="rooms", **feed):
    application = source(Application())
    made = feeds.spoken(dialect, "/chat", application, **feed)
    return application, start(made)


def own(tmp_path, change):
    """The shipped file with a change, as a file of the test's own."""
    text = "\n".join(line for line in SHIPPED.read_text().splitlines() if not line.strip().startswith("//"))
    made = json.loads(text)
    change(made)
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(made))
    return str(file)


def saying_rule(made):
    return next(rule for rule in made["client"] if rule["do"] == "publish")


def join(client, room, number=1):
    answer = feeds.ask(client, {"type": "join", "room": room, "id": number})
    assert answer == {"type": "joined", "room": room, "id": number}


def said(text, room="r1", **more):
    return {"type": "say", "room": room, "text": text, **more}


def test_who_joins_may_say_something_in_the_same_breath(start, source):
    # The room is not there before the hub has said so, some microseconds later: it was an error.
    _, proxy = rooms(start, source)
    for n in range(20):
        with wire.open_session(proxy.public, "/chat") as client:
            client.send(b"".join(wire.frame(wire.TEXT, json.dumps(each).encode()) for each in (
                {"type": "join", "room": f"r{n}", "id": 1}, said("one", f"r{n}"), said("two", f"r{n}"),
                said("no", "elsewhere"))))
            heard = [feeds.heard(client) for _ in range(4)]
            assert [each["text"] for each in heard if each["type"] == "say"] == ["one", "two"]
            assert sorted(each["type"] for each in heard if each["type"] != "say") == ["error", "joined"]
            assert heard.index({"type": "joined", "room": f"r{n}", "id": 1}) < heard.index(said("one", f"r{n}"))


def test_what_was_said_to_a_room_that_was_left_before_it_was_there_is_an_error(start, source):
    _, proxy = rooms(start, source)
    with wire.open_session(proxy.public, "/chat") as client:
        client.send(b"".join(wire.frame(wire.TEXT, json.dumps(each).encode()) for each in (
            {"type": "join", "room": "r", "id": 1}, said("lost", "r", id=2), {"type": "leave", "room": "r", "id": 3})))
        heard = [feeds.heard(client) for _ in range(3)]
        assert [each["id"] for each in heard] == [1, 2, 3] and heard[1]["type"] == "error"
        feeds.quiet(client)
    feeds.subscribers(proxy, 0)


@pytest.mark.parametrize("is_there", [True, False], ids=["with a source", "without"])
def test_people_talk_in_rooms(start, source, is_there):
    application, proxy = rooms(start, source, request_timeout="1s")
    if not is_there:
        application.kill()
    with wire.open_session(proxy.public, "/chat") as ann, wire.open_session(proxy.public, "/chat") as bob, \
            wire.open_session(proxy.public, "/chat") as eve:
        join(ann, "r1")
        join(bob, "r1")
        join(eve, "r2")
        assert feeds.ask(bob, {"type": "join", "rooms": ["r3", "r4"]}) == {"type": "joined", "room": "r3"}
        assert feeds.heard(bob) == {"type": "joined", "room": "r4"}
        assert feeds.ask(bob, {"type": "rooms"}) == {"type": "rooms", "rooms": ["r1", "r3", "r4"]}
        text = json.dumps(said("häß€😀"), ensure_ascii=False)
        feeds.say(ann, text)
        for client in (ann, bob):
            assert feeds.raw(client) == text
        # Who is not in says nothing there, and hears nothing.
        error = feeds.ask(eve, said("hello?", id=9))
        assert (error["type"], error["id"]) == ("error", 9)
        assert feeds.ask(bob, {"type": "leave", "room": "r1", "id": 2}) == {"type": "left", "room": "r1", "id": 2}
        feeds.say(ann, said("anybody?"))
        assert feeds.heard(ann)["text"] == "anybody?"
        assert feeds.ask(bob, said("no"))["type"] == "error"
        assert feeds.ask(eve, {"type": "ping", "id": "x"}) == {"type": "pong", "id": "x"}
        for client in (ann, bob, eve):
            feeds.quiet(client)
    feeds.subscribers(proxy, 0)
    harness.eventually(lambda: proxy.metric("holdfast_feed_channels", feed="ticker") == 0)


def test_who_joins_gets_the_last_fifty(start, source):
    _, proxy = rooms(start, source)
    with wire.open_session(proxy.public, "/chat") as ann, wire.open_session(proxy.public, "/chat") as bob:
        join(ann, "r1")
        for n in range(70):
            feeds.say(ann, said(n))
            assert feeds.heard(ann)["text"] == n
        join(bob, "r1")
        assert [feeds.heard(bob)["text"] for _ in range(50)] == list(range(20, 70))
        feeds.quiet(bob)


def test_an_application_hears_nothing_of_the_rooms_and_may_speak_in_them(start, source):
    application, proxy = rooms(start, source)
    with wire.open_session(proxy.public, "/chat") as ann, wire.open_session(proxy.public, "/chat") as bob:
        join(ann, "r1")
        join(bob, "r2")
        application.wait_live(1)
        application.broadcast(json.dumps(said("from the bot")))
        application.broadcast("no JSON")
        assert feeds.heard(ann)["text"] == "from the bot"
        feeds.say(ann, said("thanks"))
        assert feeds.heard(ann)["text"] == "thanks"
        feeds.quiet(bob)
        assert application.commands() == []


def test_a_room_does_not_notice_that_the_source_comes_and_goes(start, source):
    application, proxy = rooms(start, source, linger="5s")
    with wire.open_session(proxy.public, "/chat") as ann:
        join(ann, "r1")
        application.wait_live(1)
        application.kill()
        feeds.say(ann, said("still here"))
        assert feeds.heard(ann)["text"] == "still here"
        application.come_back()
        application.wait_live(1)
        application.broadcast(json.dumps(said("back")))
        assert feeds.heard(ann)["text"] == "back"


def test_an_application_hears_all_and_decides(start, source, tmp_path):
    def upstream(made):
        saying_rule(made)["via"] = "upstream"
    application, proxy = rooms(start, source, own(tmp_path, upstream))
    with wire.open_session(proxy.public, "/chat") as ann:
        join(ann, "r1")
        application.wait_live(1)
        feeds.say(ann, said("bad word"))
        feeds.say(ann, said("good word"))
        application.wait(lambda: len(application.commands()) == 2)
        assert [json.loads(text)["text"] for text in application.commands()] == ["bad word", "good word"]
        application.broadcast(json.dumps(said("good word")))
        assert feeds.heard(ann)["text"] == "good word"
        feeds.quiet(ann)


def test_without_echo_a_speaker_does_not_hear_itself(start, source, tmp_path):
    def silent(made):
        saying_rule(made)["echo"] = False
    _, proxy = rooms(start, source, own(tmp_path, silent))
    with wire.open_session(proxy.public, "/chat") as ann, wire.open_session(proxy.public, "/chat") as bob:
        join(ann, "r1")
        join(bob, "r1")
        for n in range(30):
            for client, other in ((ann, bob), (bob, ann)):
                feeds.say(client, said(n))
                assert feeds.heard(other)["text"] == n
        for client in (ann, bob):
            feeds.quiet(client)
        with wire.open_session(proxy.public, "/chat") as late:
            join(late, "r1")
            assert len([feeds.heard(late) for _ in range(50)]) == 50


def test_how_many_are_there_is_told_where_the_dialect_says_how(start, source, tmp_path):
    def counts(made):
        made["replies"]["presence"] = {"type": "presence", "room": "$key", "count": "$count"}
    _, proxy = rooms(start, source, own(tmp_path, counts))

    def until(client, count):
        while (told := feeds.heard(client)) != {"type": "presence", "room": "r1", "count": count}:
            assert told["type"] == "presence"
    with wire.open_session(proxy.public, "/chat") as ann:
        join(ann, "r1")
        until(ann, 1)
        with wire.open_session(proxy.public, "/chat") as bob:
            join(bob, "r1")
            until(bob, 2)
            until(ann, 2)
        until(ann, 1)
        # Not a part of what was said: who comes gets the latest fifty words all the same.
        for n in range(50):
            feeds.say(ann, said(n))
            assert feeds.heard(ann)["text"] == n
        with wire.open_session(proxy.public, "/chat") as late:
            join(late, "r1")
            texts = [told for told in (feeds.heard(late) for _ in range(51)) if told["type"] == "say"]
            assert [told["text"] for told in texts] == list(range(50))


def test_a_client_that_can_not_keep_up_is_told_how_much_it_missed(start, source):
    _, proxy = rooms(start, source, ring={"bytes": "64KiB", "age": "60s"})
    with wire.open_session(proxy.public, "/chat") as ann, \
            wire.open_session(proxy.public, "/chat", receive_buffer=4096) as slow:
        join(ann, "r1")
        join(slow, "r1")
        pad = "x" * 10_000
        for n in range(1000):
            feeds.say(ann, said(n, pad=pad))
            assert feeds.heard(ann)["text"] == n
        heard, missed = [], 0
        while not heard or heard[-1] < 999:
            message = feeds.heard(slow)
            if message["type"] == "gap":
                assert message["room"] == "r1"
                missed += message["missed"]
            else:
                assert message["text"] == len(heard) + missed, "the notice is where the gap is"
                heard.append(message["text"])
        assert missed > 0 and len(heard) + missed == 1000


@pytest.mark.parametrize("deflate", [False, True])
def test_npm_ws_and_python_websockets_hear_what_is_said(start, source, deflate):
    peers.need_npm()
    _, proxy = rooms(start, source, linger="5s")
    texts = [json.dumps(said(f"häß€😀 {n} " + "word " * 50)) for n in range(20)]
    with wire.open_session(proxy.public, "/chat") as ann:
        join(ann, "r1")
        for text in texts:
            feeds.say(ann, text)
            assert feeds.raw(ann) == text
        told = peers.run_node("follow.js", {
            "url": f"ws://{proxy.public}/chat", "count": 21, "deflate": deflate, "say": [{"type": "join", "room": "r1"}]})
        assert json.loads(told["texts"][0])["type"] == "joined" and told["texts"][1:] == texts
        assert ("permessage-deflate" in told["extensions"]) == deflate
        crowd = feeds.Talkers(f"ws://{proxy.public}/chat", 10, compression="deflate" if deflate else None)
        try:
            crowd.say(json.dumps({"type": "join", "room": "r1"}))
            heard = crowd.wait(21)
            assert all(json.loads(each[0])["type"] == "joined" and each[1:] == texts for each in heard)
            crowd.say(json.dumps(said("all at once", room="r1")))
            for each in crowd.wait(31):
                assert [json.loads(text)["text"] for text in each[21:]] == ["all at once"] * 10
        finally:
            crowd.stop()


def test_a_dialect_file_of_ones_own_that_is_wrong_is_told(start, source, tmp_path):
    application = source(Application())
    def break_it(made):
        saying_rule(made)["via"] = "sideways"
    file = own(tmp_path, break_it)
    made = feeds.spoken(file, "/chat", application)
    config = tmp_path / "holdfast.json"
    config.write_text(json.dumps(made))
    checked = harness.run("check", "-c", config)
    assert checked.returncode != 0
    assert "mine.json" in checked.stdout + checked.stderr and "sideways" in checked.stdout + checked.stderr
    shutil.copy(SHIPPED, tmp_path / "mine.json")
    assert harness.run("check", "-c", config).returncode == 0
