"""Pages whose text is written by scripts, and hostile scripts."""

from __future__ import annotations

from chatai_assets_tests.support.hostile_web import page

SENTENCE = "Это предложение написал сценарий страницы, и оно достаточно длинное, чтобы быть её статьёй."
PLAIN = "Это предложение стоит в самой странице, и его читают, если показать её не удалось."

LINKS = ["preconnect", "dns-prefetch", "prefetch", "preload", "prerender", "stylesheet", "icon", "manifest"]


def scripted(script: str, body: str = "", head: str = "") -> bytes:
    """Return a page with only ``body``, and a script in which ``write(text)`` makes a text its article."""
    write = (
        "const write = text => { document.querySelector('#place').innerHTML = "
        "'<article>' + `<p>${text}</p>`.repeat(3) + '</article>' };"
    )
    html = f"<html><head><title>x</title>{head}</head><body>{body}<div id=place></div><script>{write}{script}</script>"
    return page(html.encode(), "text/html; charset=utf-8")


def attempts(port: int, inner: str) -> str:
    """Return a script that tries to reach an internal server in every way a page can, then reports that it is done."""
    targets = [
        *(f"http://{inner}:{port}/article", f"http://[::1]:{port}/article", f"http://inner.example:{port}/article"),
        *(f"http://site.example:{port}/302/http://{inner}:{port}/article", f"https://{inner}:{port}/"),
        *("http://169.254.169.254/latest/", f"http://localhost:{port}/article", f"http://2130706434:{port}/"),
    ]
    return f"""
    const quietly = work => {{ try {{ work() }} catch {{}} }};
    const add = (tag, values) => document.head.appendChild(Object.assign(document.createElement(tag), values));
    const asked = {targets}.map(url => {{
        const socket = url.replace('http', 'ws'), code = `fetch('${{url}}'); importScripts('${{url}}')`;
        const source = URL.createObjectURL(new Blob([code], {{type: 'text/javascript'}}));
        quietly(() => new WebSocket(socket));
        quietly(() => new EventSource(url));
        quietly(() => new Image().src = url);
        quietly(() => navigator.sendBeacon(url, 'x'));
        quietly(() => window.open(url));
        quietly(() => new Worker(source));
        quietly(() => new SharedWorker(source));
        quietly(() => new WebTransport(url));
        quietly(() => import(url));
        quietly(() => add('iframe', {{src: url}}));
        quietly(() => add('object', {{data: url}}));
        quietly(() => add('audio', {{src: url}}));
        for (const rel of {LINKS})
            quietly(() => add('link', {{rel, href: url, as: 'fetch'}}));
        const rules = JSON.stringify({{prerender: [{{urls: [url], eagerness: 'immediate'}}]}});
        quietly(() => add('script', {{type: 'speculationrules', textContent: rules}}));
        const post = fetch(url, {{method: 'POST', mode: 'no-cors', body: 'x'}});
        return Promise.allSettled([fetch(url), fetch(url, {{mode: 'no-cors'}}), post]);
    }});
    const servers = [{{urls: 'stun:{inner}:{port}'}}, {{urls: 'stun:[::1]:{port}'}}];
    const peer = new RTCPeerConnection({{iceServers: servers}});
    peer.createDataChannel('x');
    peer.createOffer().then(offer => peer.setLocalDescription(offer));
    Promise.all(asked).then(all => {{
        const reached = all.flat().filter(each => each.status == 'fulfilled').length;
        write(`Достигнуто серверов: ${{reached}}. {SENTENCE}`);
    }});
    """
