package auth

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDeviceName(t *testing.T) {
	t.Parallel()
	for userAgent, want := range map[string]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36":                                                 "Chrome on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36":                                           "Chrome on macOS",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36":                                                           "Chrome on Linux",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0.0.0 Safari/537.36":                                                   "Chrome on Linux",
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36":                                                  "Chrome on ChromeOS",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36":                                                 "Chrome on Android",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.7444.77 Mobile/15E148 Safari/604.1":                  "Chrome on iPhone",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.3595.53":                               "Edge on Windows",
		"Mozilla/5.0 (Linux; Android 10; HD1913) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.7444.102 Mobile Safari/537.36 EdgA/141.0.3537.99":                    "Edge on Android",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_7_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 EdgiOS/141.3537.99 Mobile/15E148 Safari/605.1.15": "Edge on iPhone",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 OPR/123.0.0.0":                                   "Opera on Windows",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile Safari/537.36":                             "Samsung Internet on Android",
		"Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0":                                                                                          "Firefox on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:144.0) Gecko/20100101 Firefox/144.0":                                                                                "Firefox on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 15.7; rv:144.0) Gecko/20100101 Firefox/144.0":                                                                             "Firefox on macOS",
		"Mozilla/5.0 (Android 15; Mobile; rv:144.0) Gecko/144.0 Firefox/144.0":                                                                                            "Firefox on Android",
		"Mozilla/5.0 (iPad; CPU OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/144.0 Mobile/15E148 Safari/605.1.15":                                "Firefox on iPad",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15":                                           "Safari on macOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1":                         "Safari on iPhone",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148":                                                   "Browser on iPhone",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) chat/1.2.0 Chrome/140.0.7339.133 Electron/38.2.2 Safari/537.36":                           "Electron on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Microsoft Windows 10.0.22631; en-GB) PowerShell/7.5.3":                                                                             "PowerShell on Windows",
		"Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko":                                                                                           "Internet Explorer on Windows",
		"curl/8.17.0":                         "curl",
		"Wget/1.25.0":                         "Wget",
		"okhttp/5.2.1":                        "OkHttp",
		"Go-http-client/1.1":                  "Go",
		"Go-http-client/2.0":                  "Go",
		"python-requests/2.32.5":              "Python",
		"Python/3.13 aiohttp/3.13.2":          "Python",
		"node":                                "Node.js",
		"undici":                              "Node.js",
		"Dart/3.9 (dart:io)":                  "Dart",
		"Java-http-client/21.0.9":             "Java",
		"Apache-HttpClient/5.5 (Java/21.0.9)": "Java",
		"PostmanRuntime/7.49.1":               "Postman",
		"Dalvik/2.1.0 (Linux; U; Android 15; Pixel 8)": "App on Android",
		"Chat/42 CFNetwork/3860.100.1 Darwin/25.0.0":   "Chat",
		"my-bot/1.0 (+https://bot.example)":            "my-bot",
		"":                                             "",
		" ":                                            "",
		"/1.0":                                         "",
		"(Linux)":                                      "Linux",
		"<script>alert(1)</script>":                    "",
		"\u202egnihtyna":                               "",
		strings.Repeat("x", 33):                        "",
	} {
		require.Equal(t, want, DeviceName(userAgent), userAgent)
	}
}
