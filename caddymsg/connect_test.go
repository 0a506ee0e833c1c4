package caddymsg_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// Over HTTP/2 and HTTP/3, a WebSocket would begin with CONNECT (RFC 8441, RFC 9220),
// which is answered in a way that clients understand: browsers then try HTTP/1.1.
func TestExtendedConnect(t *testing.T) {
	t.Parallel()
	s := frontdoor.Start(t, frontdoor.Options{
		Caddyfile: "{\n\tservers {\n\t\tprotocols h1 h2c\n\t}\n}\n" + lifeSite("{$PORT}", "database {env.DATABASE}", "bcrypt_cost 4"),
		Env:       []string{"GODEBUG=http2xconnect=1"},
	})
	alice := frontdoor.SignUp(t, s.URL, "alice")
	cookie := lifeCookies(t, alice, s.URL)[0].String()
	for _, row := range []struct {
		name, path, cookie string
		status             int
	}{
		{"signed in", "/v1/ws", cookie, http.StatusNotImplemented},
		{"nobody", "/v1/ws", "", http.StatusNotImplemented},
		{"no WebSocket", "/v1/events", cookie, http.StatusMethodNotAllowed},
		{"nothing there", "/v1/nothing", cookie, http.StatusNotFound},
	} {
		t.Run(row.name, func(t *testing.T) {
			status, header, problem := extendedConnect(t, s, row.path, row.cookie)
			require.Equal(t, row.status, status)
			require.EqualValues(t, row.status, problem["status"])
			require.Equal(t, "application/problem+json", header.Get("Content-Type"))
			require.Empty(t, header.Get("Upgrade"))
			require.Empty(t, header.Get("Connection"))
		})
	}
	require.Zero(t, lifeMetrics(t, s).sum("messaging_live_connections"))
}

// extendedConnect asks for a WebSocket over HTTP/2, without TLS.
func extendedConnect(t *testing.T, s *frontdoor.Server, path, cookie string) (status int, header http.Header, problem map[string]any) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	_, err = io.WriteString(conn, http2.ClientPreface)
	require.NoError(t, err)
	framer := http2.NewFramer(conn, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	require.NoError(t, framer.WriteSettings())
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{
		{":method", "CONNECT"},
		{":protocol", "websocket"},
		{":scheme", "http"},
		{":path", path},
		{":authority", strings.TrimPrefix(s.URL, "http://")},
		{"sec-websocket-version", "13"},
		{"cookie", cookie},
	} {
		require.NoError(t, encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}))
	}
	require.NoError(t, framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true}))
	var body []byte
	header = http.Header{}
	for {
		frame, err := framer.ReadFrame()
		require.NoError(t, err)
		ended := false
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			status, err = strconv.Atoi(frame.PseudoValue("status"))
			require.NoError(t, err)
			for _, field := range frame.RegularFields() {
				header.Add(field.Name, field.Value)
			}
			ended = frame.StreamEnded()
		case *http2.DataFrame:
			body = append(body, frame.Data()...)
			ended = frame.StreamEnded()
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			t.Fatalf("it is not understood: %v", frame)
		}
		if ended {
			require.NoError(t, json.Unmarshal(body, &problem))
			return status, header, problem
		}
	}
}
