package knox

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/caddymsg/messaging/auth"
	"github.com/caddymsg/messaging/caddymsg/dialect"
)

const pageSize = 20

// page is a part of a list. Count is of the whole list.
type page struct {
	Count    int     `json:"count"`
	Next     *string `json:"next"`
	Previous *string `json:"previous"`
	Results  any     `json:"results"`

	number int // the first is 1
}

// pageOf is the page of a list that a request asks for: by its number, or for the last.
func pageOf(r *http.Request, count int) (page, error) {
	last := max(1, (count+pageSize-1)/pageSize)
	p := page{Count: count, number: 1}
	if params := r.URL.Query(); params.Has("page") {
		asked := params.Get("page")
		p.number, _ = strconv.Atoi(asked) // 0, if it is no number
		if asked == "last" {
			p.number = last
		}
	}
	if p.number < 1 || p.number > last {
		return page{}, &dialect.Refusal{Status: http.StatusNotFound, Code: "no_such_page", Message: "There is no such page."}
	}
	if p.number < last {
		p.Next = address(r, p.number+1)
	}
	if p.number > 1 {
		p.Previous = address(r, p.number-1)
	}
	return p, nil
}

// offset is how much of the list comes before the page.
func (p page) offset() int { return (p.number - 1) * pageSize }

// with is the page with what is on it.
func (p page) with(results any) page {
	p.Results = results
	return p
}

// address is that of another page of what a request asks for. The first has no number.
func address(r *http.Request, number int) *string {
	facts := auth.RequestOf(r.Context())
	at := url.URL{Scheme: "http", Host: r.Host, Path: facts.Folder + r.URL.Path}
	if facts.Secure {
		at.Scheme = "https"
	}
	params := r.URL.Query()
	params.Del("page")
	if number > 1 {
		params.Set("page", strconv.Itoa(number))
	}
	at.RawQuery = params.Encode()
	s := at.String()
	return &s
}
