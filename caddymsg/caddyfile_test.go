package caddymsg_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/stretchr/testify/require"

	"github.com/caddymsg/messaging/internal/frontdoor"
)

// Each file in testdata is a Caddyfile, a line of dashes, and the JSON that it
// is adapted to.
func TestCaddyfileGoldens(t *testing.T) {
	files, err := filepath.Glob("testdata/*.caddyfiletest")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			caddyfile, want, found := strings.Cut(string(content), "----------\n")
			require.True(t, found, "no line of dashes")
			require.JSONEq(t, want, string(lifeAdapt(t, caddyfile)))
		})
	}
}

// lifeAdapt adapts a Caddyfile that must be in order and well formatted.
func lifeAdapt(t *testing.T, caddyfile string) []byte {
	t.Helper()
	config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), nil)
	require.NoError(t, err)
	require.Empty(t, warnings)
	return config
}

func TestCaddyfileErrors(t *testing.T) {
	for name, test := range map[string]struct {
		block string
		want  []string // parts of the message
	}{
		"unknown option": {"messaging {\n sesion_secret x\n}", []string{
			"sesion_secret",
			"admin", "api", "database", "session_secret", "session_lifetime", "password_min_length", "bcrypt_cost", "basic_auth", "registration",
		}},
		"doubled option":            {"messaging {\n api v1\n database a.db\n api v1\n}", []string{"api", "twice"}},
		"api without a name":        {"messaging {\n api\n}", []string{"api", "one value"}},
		"api with two":              {"messaging {\n api v1 knox\n}", []string{"api", "one value"}},
		"api with another option":   {"messaging {\n api messenger {\n  trust_user_ids\n }\n}", []string{"trust_user_ids", "insecure_trust_user_ids"}},
		"api with a value for none": {"messaging {\n api messenger {\n  insecure_trust_user_ids on\n }\n}", []string{"insecure_trust_user_ids", "no value"}},
		"api with one twice":        {"messaging {\n api messenger {\n" + strings.Repeat("insecure_trust_user_ids\n", 2) + "}\n}", []string{"insecure_trust_user_ids", "twice"}},
		"api twice, with blocks":    {"messaging {\n api messenger {\n  insecure_trust_user_ids\n }\n api messenger {\n  insecure_trust_user_ids\n }\n}", []string{"api", "twice"}},
		"api's option outside":      {"messaging {\n insecure_trust_user_ids\n}", []string{"insecure_trust_user_ids", "api"}},
		"no registration":           {"messaging {\n registration\n}", []string{"registration", "or more"}},
		"registration twice":        {"messaging {\n registration domains a.example\n registration domains b.example\n}", []string{"registration", "twice"}},
		"missing value":             {"messaging {\n database\n}", []string{"database"}},
		"unset variable as a value": {"messaging {\n database {$LIFE_NOT_SET}\n}", []string{"database"}},
		"too many values":           {"messaging {\n database a b\n}", []string{"database", "one value"}},
		"no session_secret":         {"messaging {\n session_secret\n}", []string{"session_secret", "or more"}},
		"admin without a name":      {"messaging {\n admin\n}", []string{"admin", "or more"}},
		"admin twice":               {"messaging {\n admin alice\n admin bob\n}", []string{"admin", "twice"}},
		"admin with a block":        {"messaging {\n admin alice {\n  api v1\n }\n}", nil},
		"bus without an address":    {"messaging {\n bus\n}", []string{"bus", "or more"}},
		"bus twice":                 {"messaging {\n bus nats://a\n bus nats://b\n}", []string{"bus", "twice"}},
		"two files of credentials":  {"messaging {\n bus_credentials a b\n}", []string{"bus_credentials", "one value"}},
		"a certificate, no key":     {"messaging {\n bus_certificate a\n}", []string{"bus_certificate", "two values"}},
		"a certificate, two keys":   {"messaging {\n bus_certificate a b c\n}", []string{"bus_certificate", "two values"}},
		"an empty certificate":      {"messaging {\n bus_certificate \"\" b\n}", []string{"bus_certificate", "two values"}},
		"smtp without a block":      {"messaging {\n smtp\n}", []string{"smtp", "block"}},
		"smtp with a value":         {"messaging {\n smtp smtp.example.com\n}", []string{"smtp", "block"}},
		"smtp with nothing in it":   {"messaging {\n smtp {\n }\n}", []string{"smtp", "block"}},
		"smtp twice":                {"messaging {\n smtp {\n  host a\n }\n smtp {\n  host b\n }\n}", []string{"smtp", "twice"}},
		"smtp with another option":  {"messaging {\n smtp {\n  server a\n }\n}", []string{"server", "ca, from, host, password, port, tls, username"}},
		"smtp with two hosts":       {"messaging {\n smtp {\n  host a b\n }\n}", []string{"smtp host", "one value"}},
		"smtp with host twice":      {"messaging {\n smtp {\n  host a\n  host b\n }\n}", []string{"smtp host", "twice"}},
		"smtp with no number":       {"messaging {\n smtp {\n  port smtp\n }\n}", []string{"smtp port", "\"smtp\""}},
		"smtp with an empty host":   {"messaging {\n smtp {\n  host \"\"\n }\n}", []string{"smtp host", "one value"}},
		"public_url twice":          {"messaging {\n public_url https://a\n public_url https://b\n}", []string{"public_url", "twice"}},
		"block as a value":          {"messaging {\n database a.db {\n  api v1\n }\n}", nil},
		"argument on the line":      {"messaging v1", []string{"messaging"}},
		"argument behind a matcher": {"messaging /v1/* v1 {\n}", []string{"messaging"}},

		"password_min_length no number": {"messaging {\n password_min_length eight\n}", []string{"password_min_length", "eight"}},
		"password_min_length fraction":  {"messaging {\n password_min_length 8.5\n}", []string{"password_min_length", "8.5"}},
		"password_min_length 0":         {"messaging {\n password_min_length 0\n}", []string{"password_min_length"}},
		"bcrypt_cost no number":         {"messaging {\n bcrypt_cost high\n}", []string{"bcrypt_cost", "high"}},
		"bcrypt_cost 0":                 {"messaging {\n bcrypt_cost 0\n}", []string{"bcrypt_cost"}},
		"bcrypt_cost too big a number":  {"messaging {\n bcrypt_cost 99999999999999999999\n}", []string{"bcrypt_cost"}},
		"session_lifetime no unit":      {"messaging {\n session_lifetime 30\n}", []string{"session_lifetime", "30"}},
		"session_lifetime no duration":  {"messaging {\n session_lifetime long\n}", []string{"session_lifetime", "long"}},
		// In the JSON, 0 is what stands for the default.
		"session_lifetime 0": {"messaging {\n session_lifetime 0s\n}", []string{"session_lifetime"}},
		"event_retention 0":  {"messaging {\n event_retention 0s\n}", []string{"event_retention", "off"}},

		"event_retention no duration":         {"messaging {\n event_retention never\n}", []string{"event_retention", "never"}},
		"event_retention negative":            {"messaging {\n event_retention -1h\n}", []string{"event_retention", "off"}},
		"shutdown_delay no duration":          {"messaging {\n shutdown_delay off\n}", []string{"shutdown_delay", "off"}},
		"connections_per_user 0":              {"messaging {\n connections_per_user 0\n}", []string{"connections_per_user", "off"}},
		"connections_per_user negative":       {"messaging {\n connections_per_user -1\n}", []string{"connections_per_user", "off"}},
		"connections_per_address no number":   {"messaging {\n connections_per_address many\n}", []string{"connections_per_address", "many"}},
		"rate_limits without any":             {"messaging {\n rate_limits\n}", []string{"rate_limits", "off"}},
		"rate_limits of none":                 {"messaging {\n rate_limits {\n }\n}", []string{"rate_limits", "off"}},
		"rate_limits on":                      {"messaging {\n rate_limits on\n}", []string{"rate_limits", "off"}},
		"rate_limits off and more":            {"messaging {\n rate_limits off sends\n}", []string{"rate_limits", "off"}},
		"rate_limits off with a block":        {"messaging {\n rate_limits off {\n  sends off\n }\n}", []string{"rate_limits", "sends"}},
		"rate_limits unknown":                 {"messaging {\n rate_limits {\n  messages 1/1s\n }\n}", []string{"rate_limits", "messages", "sends", "sign_in"}},
		"rate_limits one twice":               {"messaging {\n rate_limits {\n  sends 1/1s\n  sends 2/1s\n }\n}", []string{"rate_limits", "sends", "twice"}},
		"rate_limits no rate":                 {"messaging {\n rate_limits {\n  sends often\n }\n}", []string{"rate_limits", "sends", "often", "20/1s 100"}},
		"rate_limits without a value":         {"messaging {\n rate_limits {\n  sends\n }\n}", []string{"rate_limits", "sends"}},
		"rate_limits twice":                   {"messaging {\n rate_limits off\n rate_limits off\n}", []string{"rate_limits", "twice"}},
		"an option of none behind a block":    {"messaging {\n rate_limits {\n  sends off\n }\n limits off\n}", []string{"limits", "rate_limits"}},
		"connections_per_address two numbers": {"messaging {\n connections_per_address 1 2\n}", []string{"connections_per_address"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(
				[]byte("http://localhost:12000 {\n"+test.block+"\n}\n"), map[string]any{"filename": "Caddyfile"})
			require.ErrorContains(t, err, "Caddyfile:", "it does not say where")
			for _, part := range test.want {
				require.ErrorContains(t, err, part)
			}
		})
	}
}

// What an option may hold is checked by `caddy validate`.
func TestValidationErrors(t *testing.T) {
	for name, test := range map[string]struct {
		option string
		want   []string // parts of the output
		secret string   // must not be in the output
	}{
		"session_secret of 31 bytes":     {"session_secret 0123456789abcdefghijklmnopqrstu", []string{"session_secret", "32", "openssl rand"}, "0123456789abcdefghijklmnopqrstu"},
		"session_secret of no file":      {"session_secret {file./nowhere/session_secret}", []string{"session_secret"}, ""},
		"session_secret of a folder":     {"session_secret {file./}", []string{"session_secret"}, ""},
		"session_secret no placeholder":  {"session_secret {session_secret}", []string{"session_secret"}, ""},
		"second secret of 31 bytes":      {"session_secret 0123456789abcdefghijklmnopqrstuv 0123456789abcdefghijklmnopqrstu", []string{"session_secret", "31", "openssl rand"}, "0123456789abcdefghijklmnopqrstu"},
		"second secret of no file":       {"session_secret {env.LIFE_SECRET} {file./nowhere/session_secret}", []string{"session_secret"}, ""},
		"short secret in the variable":   {"session_secret {env.LIFE_SHORT}", []string{"session_secret", "openssl rand"}, "tooshort"},
		"api unknown":                    {"api v2", []string{"api", "v2", "group_chat, knox, messenger, simple_chats, v1"}, ""},
		"api in capitals":                {"api Knox", []string{"api", "Knox", "group_chat, knox, messenger, simple_chats, v1"}, ""},
		"v1 trusts nobody":               {"api v1 {\n insecure_trust_user_ids\n}", []string{"insecure_trust_user_ids", "v1", "messenger"}, ""},
		"simple_chats trusts nobody":     {"api simple_chats {\n insecure_trust_user_ids\n}", []string{"insecure_trust_user_ids", "simple_chats", "messenger"}, ""},
		"group_chat trusts nobody":       {"api group_chat {\n insecure_trust_user_ids\n}", []string{"insecure_trust_user_ids", "group_chat", "messenger"}, ""},
		"knox trusts nobody":             {"api knox {\n insecure_trust_user_ids\n}", []string{"insecure_trust_user_ids", "knox", "messenger"}, ""},
		"basic_auth of simple_chats":     {"api simple_chats\n basic_auth on", []string{"basic_auth", "v1"}, ""},
		"basic_auth of knox":             {"api knox\n basic_auth on", []string{"basic_auth", "v1"}, ""},
		"invitations to simple_chats":    {"api simple_chats\n registration invitation", []string{"registration", "simple_chats", "invitation", "closed"}, ""},
		"invitations to knox":            {"api knox\n registration invitation", []string{"registration", "knox", "invitation", "closed"}, ""},
		"domains of messenger":           {"api messenger\n registration domains example.com\n " + lifeMail("host smtp.example.com", "from chat@example.com"), []string{"registration", "messenger", "domains", "closed"}, ""},
		"registration neither, of knox":  {"api knox\n registration maybe", []string{"registration", "maybe"}, ""},
		"basic_auth neither":             {"basic_auth maybe", []string{"basic_auth", "maybe", "on", "off"}, ""},
		"registration neither":           {"registration maybe", []string{"registration", "maybe", "open", "closed", "invitation", "domains"}, ""},
		"registration open to domains":   {"registration open example.com", []string{"registration", "domains", "open"}, ""},
		"registration of no domains":     {"registration domains", []string{"registration", "domains example.com"}, ""},
		"registration of no domain":      {"registration domains example.com @example.net", []string{"registration", "@example.net"}, ""},
		"registration of all below one":  {"registration domains *.example.com", []string{"registration", "*.example.com"}, ""},
		"registration without mail":      {"registration domains example.com", []string{"registration", "smtp"}, ""},
		"bcrypt_cost 3":                  {"bcrypt_cost 3", []string{"bcrypt_cost", "4", "31"}, ""},
		"bcrypt_cost 32":                 {"bcrypt_cost 32", []string{"bcrypt_cost", "4", "31"}, ""},
		"bcrypt_cost negative":           {"bcrypt_cost -1", []string{"bcrypt_cost", "4", "31"}, ""},
		"password_min_length 73":         {"password_min_length 73", []string{"password_min_length", "72"}, ""},
		"password_min_length negative":   {"password_min_length -1", []string{"password_min_length", "72"}, ""},
		"session_lifetime 10s":           {"session_lifetime 10s", []string{"session_lifetime", "10s"}, ""},
		"session_lifetime negative":      {"session_lifetime -1h", []string{"session_lifetime"}, ""},
		"shutdown_delay negative":        {"shutdown_delay -1s", []string{"shutdown_delay"}, ""},
		"event_retention 10s":            {"event_retention 10s", []string{"event_retention", "10s"}, ""},
		"database of another engine":     {"database mysql://chat:opensesame@db.example.com/chat", []string{"database", "mysql://", "SQLite", "postgres://"}, "opensesame"},
		"another engine in the variable": {"database {env.LIFE_MYSQL}", []string{"database", "mysql://"}, "opensesame"},
		"password that is written":       {"database postgres://chat:opensesame@db.example.com/chat", []string{"database", "{env."}, "opensesame"},
		"password in the query":          {"database postgres://chat@db.example.com/chat?password=opensesame", []string{"database", "{env."}, "opensesame"},
		"half of it written":             {"database postgres://chat:open{env.LIFE_SHORT}@db.example.com/chat", []string{"database", "{env."}, "tooshort"},
		"password that ends the host":    {"database {env.LIFE_SLASH}", []string{"database", "percent-encoded"}, "sesame"},
		"braces in the password":         {"database postgres://chat:open{sesame}x@db.example.com/chat", []string{"database", "%7B"}, "sesame"},
		"a variable's name in it":        {"database postgres://chat:{env.opensesame}@db.example.com/chat", []string{"database", "placeholder"}, "sesame"},
		"braces between variables":       {"database {env.LIFE_SHORT}{sesame}{env.LIFE_SHORT}", []string{"database", "placeholder"}, "sesame"},
		"options of libpq":               {"database {env.LIFE_OPTIONS}", []string{"database", "postgres://"}, "opensesame"},
		"option that there is not":       {"database postgres://chat@db.example.com/chat?sslmode=perhaps", []string{"database", "sslmode"}, ""},
		"admin with a space":             {"admin alice \"b c\"", []string{"admin", "b c"}, ""},
		"admin that can't be a name":     {"admin a/b", []string{"admin", "a/b"}, ""},
		"no readers":                     {"database_readers 0", []string{"database_readers", "from 1"}, ""},
		"negative writers":               {"database_writers -1", []string{"database_writers"}, ""},
		"writers of SQLite":              {"database_writers 2", []string{"database_writers", "SQLite"}, ""},
		"bus of an SQLite":               {"bus nats://127.0.0.1", []string{"bus", "SQLite"}, ""},
		"credentials of no bus":          {lifeShared + "bus_credentials /nowhere", []string{"bus_credentials", "no bus"}, ""},
		"key of no bus":                  {lifeShared + "bus_certificate /nowhere /nowhere", []string{"bus_certificate", "no bus"}, ""},
		"bus of another kind":            {lifeShared + "bus redis://127.0.0.1", []string{"bus", "nats://", "tls://"}, ""},
		"bus with a path":                {lifeShared + "bus nats://127.0.0.1/opensesame", []string{"bus", "nats://"}, "opensesame"},
		"second bus is none":             {lifeShared + "bus nats://127.0.0.1 127.0.0.2", []string{"bus", "value 2"}, ""},
		"bus in no variable":             {lifeShared + "bus {env.LIFE_NOT_SET}", []string{"bus", "LIFE_NOT_SET"}, ""},
		"password of a bus":              {lifeShared + "bus nats://chat:opensesame@127.0.0.1", []string{"bus", "{env."}, "opensesame"},
		"token of a bus":                 {lifeShared + "bus nats://opensesame@127.0.0.1", []string{"bus", "{env."}, "opensesame"},
		"token of the second bus":        {lifeShared + "bus nats://127.0.0.1 tls://opensesame@127.0.0.1", []string{"bus", "{env."}, "opensesame"},
		"half a token of a bus":          {lifeShared + "bus nats://open{env.LIFE_SHORT}@127.0.0.1", []string{"bus", "{env."}, "tooshort"},
		"password that ends the bus":     {lifeShared + "bus {env.LIFE_BUS}", []string{"bus", "percent-encoded"}, "sesame"},
		"credentials of no file":         {lifeShared + "bus nats://127.0.0.1\n bus_credentials /nowhere/bus.creds", []string{"bus_credentials", "/nowhere/bus.creds"}, ""},
		"authorities of no file":         {lifeShared + "bus nats://127.0.0.1\n bus_ca /nowhere/ca.pem", []string{"bus_ca", "/nowhere/ca.pem"}, ""},
		"certificate of no file":         {lifeShared + "bus nats://127.0.0.1\n bus_certificate /nowhere/a.pem /nowhere/a.key", []string{"bus_certificate", "/nowhere/a.pem"}, ""},
		"smtp without a host":            {lifeMail("from chat@example.com"), []string{"smtp host"}, ""},
		"smtp without a sender":          {lifeMail("host smtp.example.com"), []string{"smtp from"}, ""},
		"smtp from nobody":               {lifeMail("host smtp.example.com", "from Chat"), []string{"smtp from", "Chat"}, ""},
		"smtp with another tls":          {lifeMail("host smtp.example.com", "from chat@example.com", "tls on"), []string{"smtp tls", "starttls"}, ""},
		"smtp on no port":                {lifeMail("host smtp.example.com", "from chat@example.com", "port 65536"), []string{"smtp port", "65536"}, ""},
		"username without a password":    {lifeMail("host smtp.example.com", "from chat@example.com", "username chat"), []string{"smtp username", "password"}, ""},
		"password of a mail server":      {lifeMail("host smtp.example.com", "from chat@example.com", "username chat", "password opensesame"), []string{"smtp password", "{env."}, "opensesame"},
		"half a password of one":         {lifeMail("host smtp.example.com", "from chat@example.com", "username chat", "password open{env.LIFE_SHORT}"), []string{"smtp password", "{env."}, "tooshort"},
		"password in no variable":        {lifeMail("host smtp.example.com", "from chat@example.com", "username chat", "password {env.LIFE_NOT_SET}"), []string{"smtp password", "LIFE_NOT_SET"}, ""},
		"password without tls":           {lifeMail("host smtp.example.com", "from chat@example.com", "username chat", "password {env.LIFE_SHORT}", "tls off"), []string{"smtp tls", "off"}, "tooshort"},
		"authorities of mail in no file": {lifeMail("host smtp.example.com", "from chat@example.com", "ca /nowhere/ca.pem"), []string{"smtp ca", "/nowhere/ca.pem"}, ""},
		"public_url without a scheme":    {"public_url chat.example.com", []string{"public_url", "https://"}, ""},
		"public_url of another scheme":   {"public_url ftp://chat.example.com", []string{"public_url", "https://"}, ""},
		"public_url without a host":      {"public_url https:///chat", []string{"public_url", "https://"}, ""},
		"public_url with a password":     {"public_url https://chat:opensesame@chat.example.com", []string{"public_url"}, "opensesame"},
		"public_url with a query":        {"public_url https://chat.example.com/?a=b", []string{"public_url"}, ""},
		"public_url in no variable":      {"public_url {env.LIFE_NOT_SET}", []string{"public_url", "LIFE_NOT_SET"}, ""},
		"database in no variable":        {"database {env.LIFE_NOT_SET}", []string{"database", "LIFE_NOT_SET"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ok, output := lifeValidate(t, t.TempDir(), lifeSite("{$PORT}", test.option),
				"LIFE_SHORT=tooshort", "LIFE_MYSQL=mysql://chat:opensesame@db.example.com/chat",
				"LIFE_OPTIONS=host=db.example.com user=chat password=opensesame dbname=chat",
				"LIFE_BUS=nats://chat:1/sesame@127.0.0.1",
				"LIFE_SLASH=postgres://chat:1/sesame@db.example.com/chat")
			require.False(t, ok, output)
			for _, part := range test.want {
				require.Contains(t, output, part)
			}
			if test.secret != "" {
				require.NotContains(t, output, test.secret)
			}
		})
	}
}

// lifeMail is an smtp block.
func lifeMail(options ...string) string {
	return "smtp {\n" + strings.Join(options, "\n") + "\n}"
}

// lifeShared is a database that several nodes may share. Nobody looks whether it is
// there.
const lifeShared = "database postgres://chat@127.0.0.1/chat\n "

// What may be said of a bus is taken, by `caddy validate`, which asks no server.
func TestBusOptions(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]string{
		"one address":             "bus nats://127.0.0.1:4222",
		"several":                 "bus nats://127.0.0.1 nats://[::1]:4222 tls://nats.example.com",
		"a password elsewhere":    "bus nats://chat:{env.LIFE_PASSWORD}@127.0.0.1",
		"a token elsewhere":       "bus nats://{env.LIFE_PASSWORD}@127.0.0.1",
		"all of it elsewhere":     "bus {env.LIFE_BUS}",
		"no bus but PostgreSQL's": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ok, output := lifeValidate(t, t.TempDir(), lifeSite("{$PORT}", lifeShared+option),
				"LIFE_PASSWORD=open,sesame", "LIFE_BUS=tls://chat:opensesame@127.0.0.1")
			require.True(t, ok, output)
			require.NotContains(t, output, "sesame")
		})
	}
}

// lifeValidate runs `caddy validate` and tells whether it is content.
func lifeValidate(t *testing.T, dir, caddyfile string, env ...string) (ok bool, output string) {
	t.Helper()
	path := filepath.Join(dir, "Caddyfile")
	require.NoError(t, os.WriteFile(path, []byte(caddyfile), 0o600))
	env = append([]string{"PORT=12000"}, env...)
	cmd, err := frontdoor.Command(t.Context(), frontdoor.Options{Dir: dir, Env: env}, "validate", "--config", path, "--adapter", "caddyfile")
	require.NoError(t, err)
	out, err := cmd.CombinedOutput()
	require.NotContains(t, string(out), "DATA RACE")
	return err == nil, string(out)
}

// The JSON of a configuration can do what the Caddyfile can.
func TestJSONConfig(t *testing.T) {
	frontdoor.OnEachEngine(t, func(t *testing.T, engine frontdoor.Engine) {
		s := frontdoor.Start(t, frontdoor.Options{Database: engine.NewDatabase(t), Caddyfile: `
http://127.0.0.1:{$PORT} {
	respond "before"
}
`})
		load := func(handler map[string]any) *frontdoor.Response {
			handler["handler"] = "messaging"
			answer := frontdoor.NewClient(t, s.Admin).Do(http.MethodPost, "/load", frontdoor.JSON(t, map[string]any{
				"admin": map[string]any{"listen": strings.TrimPrefix(s.Admin, "http://")},
				"apps": map[string]any{"http": map[string]any{"servers": map[string]any{"chat": map[string]any{
					"listen": []string{strings.TrimPrefix(s.URL, "http://")},
					"routes": []any{map[string]any{"handle": []any{handler}}},
				}}}},
			}))
			lifeAwaitListeners(t, s)
			return answer
		}
		const database = "{env.DATABASE}"

		// Nothing but the handler's name is a site, and null is no option at all.
		load(map[string]any{"session_secret": nil}).Want(http.StatusOK)
		frontdoor.NewClient(t, s.URL).Get("/v1/messages").Want(http.StatusUnauthorized)
		require.FileExists(t, filepath.Join(s.Dir, "caddy", "messaging.db"))

		// A duration is a string or nanoseconds, as everywhere in Caddy.
		load(map[string]any{
			"api": "v1", "database": database, "session_secret": strings.Repeat("s", 32), "session_lifetime": "2h",
			"password_min_length": 4, "bcrypt_cost": 5, "registration": "open",
			"shutdown_delay": 0, "event_retention": -1, "connections_per_user": -1, "connections_per_address": 1,
		}).Want(http.StatusOK)
		bob := frontdoor.NewClient(t, s.URL)
		bob.Post("/v1/auth/register", `{"username":"bob","password":"four"}`).Want(http.StatusOK)
		login := bob.Post("/v1/auth/login", `{"username":"bob","password":"four"}`).Want(http.StatusOK)
		require.Equal(t, 2*60*60, login.Cookies()[0].MaxAge)
		bob.Post("/v1/messages", `{"dest_username":"bob","message":"hi"}`).Want(http.StatusOK)
		require.Len(t, lifeMetrics(t, s).labels("messaging_open_connections", "database"), 1, "it is still another database")

		// A secret may be a list: then these are a new one and those that it replaces.
		load(map[string]any{"database": database, "session_secret": []string{strings.Repeat("t", 32), strings.Repeat("s", 32)}}).Want(http.StatusOK)
		bob.HTTP.CloseIdleConnections()
		bob.Get("/v1/messages").Want(http.StatusOK)

		load(map[string]any{"database": database, "registration": "closed"}).Want(http.StatusOK)
		bob.HTTP.CloseIdleConnections()
		closed := bob.Post("/v1/auth/register", `{"username":"carol","password":"open sesame"}`).Want(http.StatusForbidden)
		require.Equal(t, "registration_closed", closed.Field("code"))

		for name, handler := range map[string]map[string]any{
			"unknown field":  {"databse": database},
			"wrong type":     {"bcrypt_cost": "twelve"},
			"out of range":   {"bcrypt_cost": 3},
			"below a minute": {"session_lifetime": int64(10 * time.Second)},
			"short secret":   {"session_secret": "short"},
			"short among":    {"session_secret": []string{strings.Repeat("s", 32), "short"}},
			"no secret":      {"session_secret": 32},
			"no secrets":     {"session_secret": []any{strings.Repeat("s", 32), 32}},
			"below no limit": {"connections_per_user": -2},
			"below for ever": {"event_retention": -2},
		} {
			require.NotEqual(t, http.StatusOK, load(handler).StatusCode, name)
		}
		bob.Get("/v1/messages").Want(http.StatusUnauthorized) // the third's secret, and no later one
		bob.Post("/v1/auth/login", `{"username":"bob","password":"four"}`).Want(http.StatusOK)
	})
}

const lifeOwnCaddyfile = "../Caddyfile"

// The Caddyfile of this repository, as a newcomer and as a production site use
// it.
func TestOwnCaddyfile(t *testing.T) {
	content, err := os.ReadFile(lifeOwnCaddyfile)
	require.NoError(t, err)

	type config struct {
		Apps struct {
			HTTP struct {
				Servers map[string]struct {
					Listen []string
					Routes []struct {
						Match []struct{ Host []string }
					}
					AutomaticHTTPS json.RawMessage `json:"automatic_https"`
				}
			}
		}
	}
	adapted := func(t *testing.T) (c config) {
		require.NoError(t, json.Unmarshal(lifeAdapt(t, string(content)), &c))
		require.Len(t, c.Apps.HTTP.Servers, 1)
		return c
	}

	t.Run("out of the box", func(t *testing.T) {
		t.Setenv("MESSAGING_SITE", "")
		require.NoError(t, os.Unsetenv("MESSAGING_SITE"))
		server := adapted(t).Apps.HTTP.Servers["srv0"]
		require.Equal(t, []string{":12000"}, server.Listen)
		require.Equal(t, []string{"localhost"}, server.Routes[0].Match[0].Host)
	})

	t.Run("a real domain", func(t *testing.T) {
		t.Setenv("MESSAGING_SITE", "chat.example.com")
		server := adapted(t).Apps.HTTP.Servers["srv0"]
		require.Equal(t, []string{":443"}, server.Listen)
		require.Equal(t, []string{"chat.example.com"}, server.Routes[0].Match[0].Host)
		require.Empty(t, server.AutomaticHTTPS, "automatic HTTPS is not as Caddy has it")
	})
}

// It serves as it is.
func TestOwnCaddyfileServes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	site, admin := lifeFreeAddress(t), lifeFreeAddress(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd, err := frontdoor.Command(ctx, frontdoor.Options{Dir: dir, Env: []string{
		"MESSAGING_SITE=http://" + site, "CADDY_ADMIN=" + admin, "SESSION_SECRET=",
	}}, "run", "--config", lifeAbs(t, lifeOwnCaddyfile))
	require.NoError(t, err)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		require.NoError(t, <-ended, output.String())
	}()

	visitor := frontdoor.NewClient(t, "http://"+site)
	lifeEventually(t, "the site answers", func() bool {
		r, err := visitor.Try(ctx, http.MethodGet, "/v1/openapi.json", "")
		return err == nil && r.StatusCode == http.StatusOK
	})
	home := visitor.Get("/").Want(http.StatusOK) // the redirect to the documentation is followed
	require.Equal(t, "/v1/docs", home.Request.URL.Path)
	alice := frontdoor.SignUp(t, "http://"+site, "alice")
	alice.Post("/v1/messages", `{"dest_username":"alice","message":"out of the box"}`).Want(http.StatusOK)
	require.Equal(t, []string{"out of the box"}, lifeTexts(lifeMessages(alice, "/v1/messages")))
	require.FileExists(t, filepath.Join(dir, "caddy", "messaging.db"))
}

func lifeAbs(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	require.NoError(t, err)
	return path
}

// lifeFreeAddress is one that nobody listens on.
func lifeFreeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}
