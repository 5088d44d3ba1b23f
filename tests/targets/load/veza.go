// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand"
)

// The requests of `stream` and `chat`, and those that make api speak to NATS.

func sized(path string) func(*rand.Rand) request {
	return func(random *rand.Rand) request {
		return request{method: "GET", route: path, path: fmt.Sprintf("%s?size=%d&track=%d", path, random.Intn(3000), random.Intn(50))}
	}
}

// audio asks for tracks by whole and by every form of range; what lies outside is answered 416.
func audio(method string) func(*rand.Rand) request {
	return func(random *rand.Rand) request {
		track := random.Intn(40)
		r := request{method: method, route: "/tracks/{track}/audio", path: fmt.Sprintf("/tracks/%d/audio", track)}
		from := random.Intn(30000)
		ranges := []string{"", fmt.Sprintf("bytes=%d-%d", from, from+random.Intn(70000)), fmt.Sprintf("bytes=%d-", from),
			fmt.Sprintf("bytes=-%d", 1+random.Intn(5000)), fmt.Sprintf("bytes=0-99,%d-%d", from, from+999), "bytes=2000000-"}
		if wanted := ranges[random.Intn(len(ranges))]; wanted != "" {
			r.headers = map[string]string{"Range": wanted}
		} else if random.Intn(3) == 0 {
			sizes := []int{0, 1, 700, 4096, 20000, 131072, 400001, 1 << 20}
			r.headers = map[string]string{"If-None-Match": fmt.Sprintf("\"%d-%d\"", track, sizes[track%8])}
		}
		return r
	}
}

// live is up to 100 KB in chunks of any size.
func live(random *rand.Rand) request {
	path := fmt.Sprintf("/tracks/%d/live?chunks=%d&size=%d", random.Intn(40), random.Intn(20), 1+random.Intn(5000))
	return request{method: "GET", route: "/tracks/{track}/live", path: path}
}

// longLive is 1 MB in chunks.
func longLive(random *rand.Rand) request {
	path := fmt.Sprintf("/tracks/%d/live?chunks=16&size=65536", random.Intn(40))
	return request{method: "GET", route: "/tracks/{track}/live", path: path}
}

func events(random *rand.Rand) request {
	path := fmt.Sprintf("/events?count=%d&ms=%d", random.Intn(12), random.Intn(4))
	return request{method: "GET", route: "/events", path: path}
}

func playlist(random *rand.Rand) request {
	return request{method: "GET", route: "/hls/{track}/{file}", path: fmt.Sprintf("/hls/%d/playlist.m3u8", random.Intn(40))}
}

func segment(random *rand.Rand) request {
	path := fmt.Sprintf("/hls/%d/%d.ts", random.Intn(40), random.Intn(13))
	return request{method: "GET", route: "/hls/{track}/{file}", path: path}
}

// uploadTrack is up to 1 MB, in chunks up to 200 KB.
func uploadTrack(random *rand.Rand) request {
	r := request{method: "POST", route: "/tracks", path: "/tracks", body: size(random)}
	if r.chunked = r.body > 0 && random.Intn(2) == 0; r.chunked {
		r.body = min(r.body, 200000)
	}
	return r
}

func longUpload(random *rand.Rand) request {
	return request{method: "POST", route: "/tracks", path: "/tracks", body: 300000 + random.Intn(700000), chunked: true}
}

func serverEndsEarly(random *rand.Rand) request {
	path := fmt.Sprintf("/abort?after=%d", []int{1, 10, 5000}[random.Intn(3)])
	return request{method: "GET", route: "/abort", path: path, ends: serverAborts}
}

func endlessEvents(*rand.Rand) request {
	return request{method: "GET", route: "/events", path: "/events?ms=5", ends: clientAborts}
}

func room(method, rest string) func(*rand.Rand) request {
	return func(random *rand.Rand) request {
		return request{method: method, route: "/rooms/{room}" + rest, path: fmt.Sprintf("/rooms/%d%s", 1+random.Intn(50), rest)}
	}
}

// post writes to rooms of which some do not exist; some messages are empty.
func post(random *rand.Rand) request {
	r := room("POST", "/messages")(random)
	if random.Intn(10) == 0 {
		r.path = fmt.Sprintf("/rooms/%d/messages", 1000+random.Intn(10))
	}
	r.body = []int{0, 5, 80, 2000}[random.Intn(4)]
	return r
}

func removeMessage(random *rand.Rand) request {
	path := fmt.Sprintf("/rooms/%d/messages/%d", 1+random.Intn(50), random.Intn(1000))
	return request{method: "DELETE", route: "/rooms/{room}/messages/{message}", path: path}
}

func setTopic(random *rand.Rand) request {
	r := room("PUT", "/topic")(random)
	r.body = random.Intn(3) * 20
	return r
}

func presence(method string) func(*rand.Rand) request {
	return func(random *rand.Rand) request {
		return request{method: method, route: "/users/{user}/presence", path: fmt.Sprintf("/users/%d/presence", random.Intn(100))}
	}
}

func searchMessages(random *rand.Rand) request {
	r := request{method: "GET", route: "/search", path: "/search"}
	if random.Intn(5) > 0 {
		r.path += "?q=" + []string{"son", "hel", "nothing"}[random.Intn(3)]
	}
	return r
}
