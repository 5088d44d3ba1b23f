// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"math/rand"
	"net/url"
	"time"

	"github.com/gorilla/websocket"
)

// What this side says in a conversation, and how many answers it waits for.
type said struct {
	opcode  int
	payload []byte
	answers int
}

var opcodeNames = map[int]string{
	websocket.TextMessage: "text", websocket.BinaryMessage: "binary", websocket.PingMessage: "ping",
	websocket.PongMessage: "pong", websocket.CloseMessage: "close",
}

// converse has frames of every length form; long messages are fragmented by gorilla's buffer of 4096 bytes.
func converse(random *rand.Rand) request {
	r := request{method: "GET", route: "/ws", path: fmt.Sprintf("/ws?room=%d", random.Intn(50)), conversation: []said{}}
	for i := random.Intn(8); i > 0; i-- {
		payload := filler[:[]int{0, 1, 125, 126, 3000, 9000, 70000}[random.Intn(7)]]
		switch random.Intn(4) {
		case 0:
			r.conversation = append(r.conversation, said{websocket.TextMessage, payload, 1})
		case 1:
			r.conversation = append(r.conversation, said{websocket.BinaryMessage, payload, 1})
		case 2:
			count := random.Intn(20)
			r.conversation = append(r.conversation, said{websocket.TextMessage, []byte(fmt.Sprintf("burst %d", count)), count})
		default:
			r.conversation = append(r.conversation, said{websocket.PingMessage, payload[:min(len(payload), 125)], 0})
		}
	}
	return r
}

// refusedUpgrade is answered 403, and its connection stays one of HTTP.
func refusedUpgrade(*rand.Rand) request {
	return request{method: "GET", route: "/ws", path: "/ws", headers: map[string]string{"Connection": "Upgrade",
		"Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}}
}

// converseBy has a connection of its own. The upgrade is what is counted as a request.
func converseBy(target *url.URL, r request, book *ledger) {
	begun := time.Now()
	dialer := websocket.Dialer{WriteBufferSize: 4096}
	connection, response, err := dialer.Dial("ws://"+target.Host+r.path, nil)
	if err != nil {
		book.ended(r, err)
		return
	}
	defer connection.Close()
	book.done(r, response.StatusCode, 0, time.Since(begun))
	if err := talk(connection, r, book); err != nil {
		book.ended(r, err)
	}
}

func talk(connection *websocket.Conn, r request, book *ledger) error {
	count := func(direction string, opcode, size int) {
		book.frame(frameKey{r.route, direction, opcodeNames[opcode]}, size)
	}
	connection.SetPongHandler(func(payload string) error {
		count("sent", websocket.PongMessage, len(payload))
		return nil
	})
	for _, one := range r.conversation {
		if err := connection.WriteMessage(one.opcode, one.payload); err != nil {
			return err
		}
		count("received", one.opcode, len(one.payload))
		for i := 0; i < one.answers; i++ {
			opcode, payload, err := connection.ReadMessage()
			if err != nil {
				return err
			}
			count("sent", opcode, len(payload))
		}
	}
	goodbye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "bye")
	if err := connection.WriteMessage(websocket.CloseMessage, goodbye); err != nil {
		return err
	}
	count("received", websocket.CloseMessage, len(goodbye))
	_, _, err := connection.ReadMessage()
	var closed *websocket.CloseError
	if !errors.As(err, &closed) || closed.Code != websocket.CloseNormalClosure {
		return fmt.Errorf("expected the other side's Close: %v", err)
	}
	count("sent", websocket.CloseMessage, 2+len(closed.Text))
	return nil
}
