package auth

import (
	"regexp"
	"strings"
)

// DeviceName is what a person would call what a client says that it is: "Firefox on
// Linux", "curl". It is empty if it says nothing. Clients say what they like.
func DeviceName(userAgent string) string {
	program := nameIn(userAgent, browsers)
	if program == "" {
		program = programName(userAgent)
	}
	system := nameIn(userAgent, systems)
	switch {
	case program == "":
		return system
	case system == "":
		return program
	}
	return program + " on " + system
}

// mark is what tells something in a User-Agent header, and what people call it.
type mark struct{ text, name string }

// browsers has those that claim to be another one, too, before that.
var browsers = []mark{
	{"Edg/", "Edge"}, {"EdgA/", "Edge"}, {"EdgiOS/", "Edge"}, {"Edge/", "Edge"},
	{"OPR/", "Opera"}, {"OPT/", "Opera"}, {"OPiOS/", "Opera"}, {"Opera", "Opera"},
	{"SamsungBrowser/", "Samsung Internet"},
	{"Vivaldi/", "Vivaldi"},
	{"YaBrowser/", "Yandex Browser"},
	{"DuckDuckGo/", "DuckDuckGo"}, {"Ddg/", "DuckDuckGo"},
	{"UCBrowser/", "UC Browser"},
	{"Electron/", "Electron"},
	{"PowerShell/", "PowerShell"},
	{"Focus/", "Firefox Focus"}, {"FxiOS/", "Firefox"}, {"Firefox/", "Firefox"},
	{"CriOS/", "Chrome"}, {"HeadlessChrome/", "Chrome"}, {"Chromium/", "Chromium"}, {"Chrome/", "Chrome"},
	{"Version/", "Safari"},
	{"MSIE ", "Internet Explorer"}, {"Trident/", "Internet Explorer"},
}

// systems has those that claim to be another one before that.
var systems = []mark{
	{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"iPod", "iPod"},
	{"Windows", "Windows"},
	{"Android", "Android"},
	{"CrOS", "ChromeOS"},
	{"Macintosh", "macOS"}, {"Mac OS X", "macOS"},
	{"FreeBSD", "FreeBSD"}, {"OpenBSD", "OpenBSD"},
	{"Linux", "Linux"}, {"X11", "Linux"},
}

// programs are the names of those that don't call themselves what people call them.
var programs = map[string]string{
	"go-http-client":    "Go",
	"okhttp":            "OkHttp",
	"python-requests":   "Python",
	"python-urllib":     "Python",
	"python-httpx":      "Python",
	"python":            "Python", // aiohttp
	"aiohttp":           "Python",
	"node":              "Node.js",
	"undici":            "Node.js",
	"axios":             "axios",
	"dart":              "Dart",
	"java":              "Java",
	"java-http-client":  "Java",
	"apache-httpclient": "Java",
	"ktor-client":       "Ktor",
	"dalvik":            "App", // on Android
	"postmanruntime":    "Postman",
	"httpie":            "HTTPie",
	"insomnia":          "Insomnia",
	"lwp":               "Perl",
	"libwww-perl":       "Perl",
	"guzzlehttp":        "PHP",
	"ruby":              "Ruby",
	"faraday":           "Ruby",
	"mozilla":           "Browser",
}

func nameIn(userAgent string, marks []mark) string {
	for _, m := range marks {
		if strings.Contains(userAgent, m.text) {
			return m.name
		}
	}
	return ""
}

// product is what a User-Agent header begins with (RFC 9110, 10.1.5).
var product = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,31}`)

// programName is the name of what is no browser that we know: the one that it calls
// itself by, if it has a simple one.
func programName(userAgent string) string {
	name, _, _ := strings.Cut(userAgent, "/")
	name, _, _ = strings.Cut(name, " ")
	if product.FindString(name) != name || name == "" {
		return ""
	}
	if known := programs[strings.ToLower(name)]; known != "" {
		return known
	}
	return name
}
