#!/usr/bin/env python3
"""Drives a running `pare serve` with the official `openai` package and checks what it makes of the replies.

    pare serve MODEL --port 0 --json --api-key KEY --max-batch 2 --max-queue 2
    tools/serve_openai_client.py URL KEY [--chat]

--chat: the model has a chat template. Exit status: 0 all checks passed, 1 one failed, 77 the package is missing.
PARE_PYTHON names the interpreter for the test that runs this. Last tried with openai 3.54.
"""
import concurrent.futures
import sys

try:
    import openai
except ImportError:
    print("skipped: the Python package openai is not installed (pip install openai)")
    sys.exit(77)

PROMPT = "Question: Tom has 3 apples and buys 4 more. How many apples does Tom have?\nAnswer:"
QUESTION = [{"role": "user", "content": "Tom has 3 apples and buys 4 more. How many apples does Tom have?"}]


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def refused(kind, status, call):
    try:
        call()
    except kind as error:
        check(error.status_code == status, f"{kind.__name__}: status {error.status_code}, expected {status}")
        return error
    raise AssertionError(f"no {kind.__name__}")


def models(client, name):
    check(client.models.retrieve(name).id == name, "the model by its name")
    refused(openai.NotFoundError, 404, lambda: client.models.retrieve("another"))
    print("ok models")


def completions(client, name):
    ask = lambda **more: client.completions.create(
        **{"model": name, "prompt": PROMPT, "temperature": 0, "max_tokens": 30, **more})
    whole = ask()
    choice = whole.choices[0]
    check(choice.finish_reason == "stop" and choice.text, "an answer that ends")
    check(whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens, "usage adds up")
    events = list(ask(stream=True, stream_options={"include_usage": True}))
    check("".join(e.choices[0].text for e in events if e.choices) == choice.text, "a stream is the whole text")
    check(events[-1].usage == whole.usage, "usage at the end of a stream")
    stopped = ask(stop=["apples"]).choices[0]
    check(stopped.text == choice.text.split("apples")[0] and stopped.finish_reason == "stop", "a stop string")
    check(ask(max_tokens=2).choices[0].finish_reason == "length", "length")
    sampled = [[c.text for c in ask(n=3, temperature=1.5, seed=7).choices] for _ in range(2)]
    check(len(sampled[0]) == 3 and sampled[0] == sampled[1], "n answers, the same for the same seed")
    check(len(ask(prompt=[PROMPT, PROMPT]).choices) == 2, "two prompts")
    logprobs = ask(logprobs=2, max_tokens=4).choices[0].logprobs
    check(len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.text_offset) == 4, "log probabilities")
    check(all(len(top) == 2 for top in logprobs.top_logprobs), "two likeliest each")
    extra = client.completions.create(model=name, prompt=PROMPT, temperature=0, extra_body={"answer_pattern": "=<<"})
    check(extra.choices[0].text.endswith("=<<"), "our own key")
    print("ok completions")


def conversations(client, name):
    ask = lambda **more: client.chat.completions.create(
        **{"model": name, "messages": QUESTION, "temperature": 0, "max_completion_tokens": 30, **more})
    choice = ask().choices[0]
    check(choice.message.role == "assistant" and choice.message.content, "a message")
    pieces = [e.choices[0] for e in ask(stream=True)]
    check("".join(p.delta.content or "" for p in pieces) == choice.message.content, "a stream is the whole message")
    check(pieces[0].delta.role == "assistant" and pieces[-1].finish_reason == choice.finish_reason, "who and why")
    tokens = ask(logprobs=True, top_logprobs=2).choices[0].logprobs.content
    check(bytes(b for t in tokens for b in t.bytes).decode() == choice.message.content, "bytes of tokens")
    check(all(len(t.top_logprobs) == 2 for t in tokens), "two likeliest each")
    with client.chat.completions.stream(model=name, messages=QUESTION, temperature=0, max_tokens=30) as stream:
        check(stream.get_final_completion().choices[0].message.content == choice.message.content, "the stream helper")
    refused(openai.BadRequestError, 400, lambda: ask(messages=[]))
    print("ok conversations")


def errors(client, name, url):
    other = openai.OpenAI(base_url=url + "/v1", api_key="another key", max_retries=0)
    refused(openai.AuthenticationError, 401, other.models.list)
    wrong = refused(openai.BadRequestError, 400,
                    lambda: client.completions.create(model=name, prompt=PROMPT, extra_body={"temperature": "hot"}))
    check(wrong.param == "temperature" and "hot" in wrong.message, "the key and what was found")
    refused(openai.NotFoundError, 404, lambda: client.completions.create(model="another", prompt=PROMPT))

    def long_one(seed):
        try:
            client.completions.create(model=name, prompt=PROMPT, temperature=2, max_tokens=300, seed=seed, n=2)
        except openai.RateLimitError as error:
            check(error.response.headers["retry-after"], "when to try again")
            return True
        return False

    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        limited = list(pool.map(long_one, range(12)))
    check(any(limited) and not all(limited), f"some of 12 clients are told to wait, found {limited}")
    print("ok errors")


def main():
    url, key = sys.argv[1:3]
    client = openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0, timeout=60)
    name = client.models.list().data[0].id
    models(client, name)
    completions(client, name)
    if "--chat" in sys.argv:
        conversations(client, name)
    errors(client, name, url)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AssertionError as failed:
        print("failed:", failed)
        sys.exit(1)
