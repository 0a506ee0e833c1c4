package knox

import (
	"cmp"
	"net/http"
	"time"

	"github.com/caddymsg/messaging/caddymsg/dialect"
	"github.com/caddymsg/messaging/chat"
)

// message is one from one person to another. Who has deleted their account is left out.
type message struct {
	Sender   string `json:"sender,omitempty"`
	Receiver string `json:"receiver,omitempty"`
	Content  string `json:"content"`
	Created  string `json:"created"`
}

const timeFormat = "2006-01-02T15:04:05.000000Z"

// show returns messages as this API has them.
func (a *api) show(c *dialect.Call, found []chat.Message) ([]message, error) {
	others, err := a.Chat.Correspondents(c.Context(), c.Caller, found)
	if err != nil {
		return nil, err
	}
	shown := make([]message, len(found))
	for i, m := range found {
		other, me := others[m.ChatID].Username, c.Caller.Username
		if others[m.ChatID].Deleted {
			other = ""
		}
		shown[i] = message{Sender: other, Receiver: me, Content: m.Text, Created: m.CreatedAt.UTC().Format(timeFormat)}
		if m.SenderID == c.Caller.UserID {
			shown[i].Sender, shown[i].Receiver = me, other
		}
	}
	return shown, nil
}

// send checks the content before it looks for the receiver, as the system does.
func (a *api) send(c *dialect.Call) error {
	body, err := object(c)
	if err != nil {
		return err
	}
	errs := fieldErrors{}
	draft := chat.Draft{Text: errs.text(body, "content"), ClientID: c.Header.Get("Idempotency-Key")}
	if len(errs) == 0 && body["receiver"] == nil {
		errs.text(body, "receiver")
	}
	if err := errs.refuse(); err != nil {
		return err
	}
	draft.To, _ = body.Text("receiver") // what is no text names nobody
	sent, err := a.Chat.Send(c.Context(), c.Caller, draft)
	if refusal := chat.AsError(err); refusal != nil && refusal.Code == chat.CodeBlocked {
		a.Log.InfoContext(c.Context(), "Blocked Message", "sender", c.Caller.Username, "receiver", draft.To)
	}
	if err != nil {
		return err
	}
	shown, err := a.show(c, []chat.Message{sent})
	if err != nil {
		return err
	}
	a.Log.InfoContext(c.Context(), "Successful Message", "sender", c.Caller.Username, "receiver", shown[0].Receiver)
	return c.JSON(http.StatusCreated, shown[0])
}

func (a *api) sentAndReceived(c *dialect.Call) error {
	return a.list(c, chat.MessageQuery{})
}

func (a *api) sent(c *dialect.Call) error {
	q, err := a.query(c, "receiver")
	if err != nil {
		return err
	}
	q.Direction = chat.Sent
	return a.list(c, q)
}

func (a *api) received(c *dialect.Call) error {
	q, err := a.query(c, "sender")
	if err != nil {
		return err
	}
	q.Direction = chat.Received
	return a.list(c, q)
}

// query reads the parameters: the other one, under the given name, and a date. They may
// be left out, and not be empty.
func (a *api) query(c *dialect.Call, other string) (q chat.MessageQuery, err error) {
	params := c.URL.Query()
	if params.Has(other) {
		username := params.Get(other)
		if username == "" {
			return q, &dialect.Refusal{Status: http.StatusBadRequest, Code: "user_not_found", Message: "There is no such user."}
		}
		if other == "sender" {
			q.Sender = username
		} else {
			q.Receiver = username
		}
	}
	if params.Has("date") {
		q.Date = cmp.Or(params.Get("date"), "none")
		// A month and a day may have one digit. What is no date, the rule refuses.
		if day, err := time.Parse("2006-1-2", q.Date); err == nil {
			q.Date = day.Format(time.DateOnly)
		}
	}
	return q, nil
}

// list answers with a page of messages of two people, and of notes to oneself.
func (a *api) list(c *dialect.Call, q chat.MessageQuery) error {
	q.Alone, q.Present = true, true
	count, err := a.Chat.CountMessages(c.Context(), c.Caller, q)
	if err != nil {
		return err
	}
	p, err := pageOf(c.Request, count)
	if err != nil {
		return err
	}
	q.Filter = chat.Filter{Limited: true, Limit: pageSize, Offset: p.offset()}
	found, err := a.Chat.FindMessages(c.Context(), c.Caller, q)
	if err != nil {
		return err
	}
	shown, err := a.show(c, found)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, p.with(shown))
}
