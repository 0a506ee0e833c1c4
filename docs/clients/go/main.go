// Command go prints what happens to an account, and misses nothing:
//
//	PASSWORD=… go run . https://chat.example.com alice
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/coder/websocket"
)

func main() {
	jar, _ := cookiejar.New(nil) // it can't fail
	client := &http.Client{Jar: jar}
	credentials, _ := json.Marshal(map[string]string{"username": os.Args[2], "password": os.Getenv("PASSWORD")})
	resp, err := client.Post(os.Args[1]+"/v1/auth/login", "application/json", bytes.NewReader(credentials))
	if err != nil || resp.StatusCode != http.StatusOK {
		log.Fatalln("sign in:", resp, err)
	}
	log.Fatalln("sign in again:", follow(context.Background(), client, os.Args[1]+"/v1/ws", func(kind string, frame []byte) {
		if kind == "resync" {
			fmt.Print("fetch anew what you show: ")
		}
		fmt.Println(string(frame))
	}))
}

// follow calls do with each event, once and in order, until one has to sign in again.
func follow(ctx context.Context, client *http.Client, address string, do func(kind string, frame []byte)) error {
	cursor, backoff := "", time.Second
	for ctx.Err() == nil {
		conn, resp, err := websocket.Dial(ctx, address+"?after="+url.QueryEscape(cursor), &websocket.DialOptions{HTTPClient: client})
		if err != nil && resp != nil && resp.StatusCode == http.StatusUnauthorized {
			return err
		}
		for err == nil {
			conn.SetReadLimit(1 << 20)
			alive, cancel := context.WithTimeout(ctx, time.Minute) // there is a heartbeat every 25 seconds
			var text []byte
			_, text, err = conn.Read(alive)
			cancel()
			var frame struct{ ID, Type string }
			if err != nil || json.Unmarshal(text, &frame) != nil {
				_ = conn.CloseNow() // it may be closed
				break
			}
			if frame.Type != "hello" && frame.Type != "heartbeat" {
				do(frame.Type, text)
			}
			if frame.ID != "" {
				cursor, backoff = frame.ID, time.Second // not before it has been dealt with
			}
		}
		wait := backoff/2 + rand.N(backoff/2)
		backoff = min(2*backoff, 30*time.Second)
		if closed := (websocket.CloseError{}); errors.As(err, &closed) {
			if slices.Contains([]websocket.StatusCode{4100, 1002, 1007, 1008, 1009}, closed.Code) {
				return err // the server does not want to see it again
			}
			var told struct {
				RetryMS int64 `json:"retry_ms"`
			}
			if json.Unmarshal([]byte(closed.Reason), &told) == nil && told.RetryMS > 0 {
				wait = time.Duration(told.RetryMS) * time.Millisecond
			} // else something on the way has ended it
		}
		time.Sleep(wait)
	}
	return ctx.Err()
}
