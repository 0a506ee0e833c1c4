package knox

import (
	"net/http"

	"github.com/caddymsg/messaging/caddymsg/dialect"
	"github.com/caddymsg/messaging/chat"
)

type block struct {
	BlockingUser string `json:"blocking_user"`
	BlockedUser  string `json:"blocked_user"`
}

func (a *api) block(c *dialect.Call) error {
	body, err := object(c)
	if err != nil {
		return err
	}
	errs := fieldErrors{}
	if body["blocked"] == nil {
		errs.text(body, "blocked")
	}
	if err := errs.refuse(); err != nil {
		return err
	}
	username, _ := body.Text("blocked") // what is no text names nobody
	made, err := a.Chat.BlockOnce(c.Context(), c.Caller, username)
	if err != nil {
		return inBody(err)
	}
	a.Log.InfoContext(c.Context(), "Block User", "blocking_user", c.Caller.Username, "blocked_user", made.Username)
	return c.JSON(http.StatusCreated, block{c.Caller.Username, made.Username})
}

// inBody is how a rule's refusal of a user is told who was named in a body, and not in the
// path.
func inBody(err error) error {
	if refusal := chat.AsError(err); refusal != nil && (refusal.Kind == chat.NotFound || refusal.Kind == chat.Invalid) {
		return &dialect.Refusal{Status: http.StatusBadRequest, Code: refusal.Code, Message: refusal.Message}
	}
	return err
}

func (a *api) blocks(c *dialect.Call) error {
	count, err := a.Chat.CountBlocks(c.Context(), c.Caller)
	if err != nil {
		return err
	}
	p, err := pageOf(c.Request, count)
	if err != nil {
		return err
	}
	found, err := a.Chat.Blocks(c.Context(), c.Caller, pageSize, p.offset())
	if err != nil {
		return err
	}
	shown := make([]block, len(found))
	for i, b := range found {
		shown[i] = block{c.Caller.Username, b.Username}
	}
	return c.JSON(http.StatusOK, p.with(shown))
}

// unblock is an addition: the system has ids for it that none of its answers shows.
func (a *api) unblock(c *dialect.Call) error {
	if err := a.Chat.Unblock(c.Context(), c.Caller, c.PathValue("username")); err != nil {
		return err
	}
	return c.JSON(http.StatusNoContent, nil)
}
