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

// errEnd is of a session that has ended.
var errEnd = errors.New("sign in again")

func main() {
	site, cursor := os.Args[1], ""
	jar, _ := cookiejar.New(nil) // it can't fail
	client := &http.Client{Jar: jar}
	credentials, _ := json.Marshal(map[string]string{"username": os.Args[2], "password": os.Getenv("PASSWORD")})
	resp, err := client.Post(site+"/v1/auth/login", "application/json", bytes.NewReader(credentials))
	if err != nil || resp.StatusCode != http.StatusOK {
		log.Fatalln("sign in:", resp, err)
	}
	for backoff := time.Second; ; backoff = min(2*backoff, 30*time.Second) {
		before := cursor
		wait, err := follow(client, site+"/v1/ws", &cursor)
		if errors.Is(err, errEnd) {
			log.Fatalln(err)
		}
		if cursor != before {
			backoff = time.Second // it worked for a while
		}
		if wait < 0 {
			wait = backoff/2 + rand.N(backoff/2)
		}
		time.Sleep(wait)
	}
}

// follow prints events until the connection ends. It returns how long to wait before
// the next one; below 0, if the server has not said so.
func follow(client *http.Client, address string, cursor *string) (wait time.Duration, err error) {
	conn, resp, err := websocket.Dial(context.Background(), address+"?after="+url.QueryEscape(*cursor),
		&websocket.DialOptions{HTTPClient: client})
	if err != nil {
		if resp != nil && resp.StatusCode == http.StatusUnauthorized {
			return 0, errEnd
		}
		return -1, err
	}
	defer func() { _ = conn.CloseNow() }() // it may be closed
	conn.SetReadLimit(1 << 20)
	for {
		// There is a heartbeat every 25 seconds.
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		_, text, err := conn.Read(ctx)
		cancel()
		if err != nil {
			return retry(err), ended(err)
		}
		var frame struct{ ID, Type string }
		if err := json.Unmarshal(text, &frame); err != nil {
			return -1, err
		}
		switch frame.Type {
		case "hello", "heartbeat":
		case "resync":
			fmt.Println("fetch anew what you show:", string(text))
		default:
			fmt.Println(string(text))
		}
		if frame.ID != "" {
			*cursor = frame.ID // not before it has been dealt with
		}
	}
}

// retry is when the server wants to see the client again.
func retry(err error) time.Duration {
	told := struct {
		RetryMS int64 `json:"retry_ms"`
	}{-1}
	if closed := (websocket.CloseError{}); errors.As(err, &closed) {
		_ = json.Unmarshal([]byte(closed.Reason), &told) // or it does not say
	}
	return time.Duration(told.RetryMS) * time.Millisecond
}

// final are the codes after which a client should not come back.
var final = []websocket.StatusCode{4100, websocket.StatusPolicyViolation, websocket.StatusProtocolError,
	websocket.StatusInvalidFramePayloadData, websocket.StatusMessageTooBig}

// ended is errEnd then.
func ended(err error) error {
	if slices.Contains(final, websocket.CloseStatus(err)) {
		return fmt.Errorf("%w: %w", errEnd, err)
	}
	return err
}
