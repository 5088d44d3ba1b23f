// SPDX-License-Identifier: Apache-2.0

package main

// small needs answers of a few bytes and no other server.
var small = []weighted{
	{4, fixed("GET", "/health")}, {1, fixed("HEAD", "/health")}, {3, search}, {3, status}, {1, blob("HEAD")}, {1, unknown},
}

// web is what every target has; without the trailers, the methods and the 100-continue of api.
var web = []weighted{
	{4, fixed("GET", "/health")}, {1, fixed("HEAD", "/health")}, {3, search}, {3, status}, {1, blob("HEAD")}, {1, unknown},
	{3, blob("GET")}, {2, stream}, {3, upload("POST")}, {1, slow},
}

var mixes = map[string][]weighted{
	"small": small,
	"web":   web,
	"mixed": {
		{4, fixed("GET", "/health")}, {1, fixed("HEAD", "/health")}, {3, search}, {3, status}, {1, blob("HEAD")}, {1, unknown},
		{3, blob("GET")}, {2, stream}, {2, trailers}, {4, upload("POST")}, {2, upload("PUT")}, {1, upload("PATCH")},
		{1, removeTrack}, {1, slow},
	},
	"delay1":  {{1, delayed(1)}},
	"delay5":  {{1, delayed(5)}},
	"delay50": {{1, delayed(50)}},
	"tracks":  {{1, getTrack}},
	"db": {
		{4, getTrack}, {1, fixed("GET", "/db/simple")}, {2, fixed("GET", "/db/prepared")}, {1, fixed("GET", "/db/batch")},
		{2, fixed("GET", "/db/transaction")}, {1, fixed("GET", "/db/copy")}, {1, fixed("GET", "/db/error")},
	},
	"cache": {
		{4, fixed("GET", "/cache/get")}, {1, fixed("GET", "/cache/pipeline")}, {1, fixed("GET", "/cache/multi")},
		{1, fixed("GET", "/cache/eval")}, {1, fixed("GET", "/cache/error")},
	},
	"nats": {
		{3, sized("/nats/publish")}, {2, sized("/nats/headers")}, {2, sized("/nats/request")}, {1, fixed("GET", "/health")},
	},
	"stream": {
		{6, audio("GET")}, {1, audio("HEAD")}, {3, live}, {2, events}, {2, playlist}, {4, segment}, {2, uploadTrack},
		{1, fixed("GET", "/health")}, {1, unknown},
	},
	// A megabyte in chunks, both ways.
	"stream_long": {{2, longLive}, {1, longUpload}, {2, fixed("GET", "/health")}},
	"chat": {
		{2, fixed("GET", "/rooms")}, {4, room("GET", "/messages")}, {3, post}, {1, removeMessage}, {2, room("GET", "/topic")},
		{2, setTopic}, {1, room("GET", "/export")}, {2, presence("GET")}, {2, presence("PUT")}, {1, searchMessages},
		{1, fixed("GET", "/import")}, {1, fixed("GET", "/failures")}, {1, fixed("GET", "/health")}, {1, unknown},
		{2, converse}, {1, refusedUpgrade}, {1, fixed("GET", "/ws")},
	},
	"stores": {{2, fixed("GET", "/db/transaction")}, {1, fixed("GET", "/db/error")}, {2, fixed("GET", "/cache/get")}},
	"static": {{4, static("GET")}, {1, static("HEAD")}},
	// For raw sockets and one request at a time: Go's client repeats what a server aborts.
	"aborts": {{2, serverAbort}, {1, clientAbort}, {1, fixed("GET", "/health")}},
	// The same for `stream`.
	"stream_aborts": {{2, serverEndsEarly}, {1, endlessEvents}, {1, fixed("GET", "/health")}},
}
