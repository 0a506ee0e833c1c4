package groupchat

import (
	"net/http"

	"github.com/caddymsg/messaging/caddymsg/dialect"
	"github.com/caddymsg/messaging/chat"
)

// succeeded is the answer to what was done about groups and messages.
type succeeded struct {
	Success string `json:"success"`
	ID      int64  `json:"id,omitempty"`
}

// A group that is made here can be found by all, and is managed by all who are in it.
func (a *api) createGroup(c *dialect.Call) error {
	name, err := readText(c, "name")
	if err != nil {
		return err
	}
	group, err := a.Chat.CreateGroup(c.Context(), c.Caller, chat.NewGroup{
		Title: name, UniqueTitle: true, Visibility: "public", Key: c.Header.Get("Idempotency-Key"),
	})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, succeeded{Success: "The group " + group.Title + " has been created.", ID: group.ID})
}

func (a *api) listGroups(c *dialect.Call) error {
	names := a.Chat.GroupTitles(c.Context(), c.Caller, c.URL.Query().Get("q"))
	return dialect.Stream(c, `{"groups":[`, names, func(name string) string { return name }, "]}\n")
}

func (a *api) getGroup(c *dialect.Call, id int64) error {
	found, members, err := a.Chat.GroupMembers(c.Context(), c.Caller, id)
	if err != nil {
		return err
	}
	type membership struct {
		UserID int64 `json:"user_id"`
		Admin  bool  `json:"is_admin"`
	}
	group := struct {
		ID          int64        `json:"id"`
		Name        string       `json:"name"`
		Memberships []membership `json:"memberships"`
	}{found.ID, found.Title, make([]membership, len(members))}
	for i, m := range members {
		group.Memberships[i] = membership(m)
	}
	return c.JSON(http.StatusOK, group)
}

func (a *api) updateGroup(c *dialect.Call, id int64) error {
	name, err := readText(c, "name")
	if err != nil {
		return err
	}
	group, err := a.Chat.UpdateGroup(c.Context(), c.Caller, id, chat.GroupChange{Title: &name, UniqueTitle: true})
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, succeeded{Success: "The group is called " + group.Title + "."})
}

func (a *api) deleteGroup(c *dialect.Call, id int64) error {
	if err := a.Chat.DeleteGroup(c.Context(), c.Caller, id); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, succeeded{Success: "The group has been deleted."})
}

func (a *api) addMember(c *dialect.Call, id int64) error {
	username, err := readText(c, "username")
	if err != nil {
		return err
	}
	added, group, err := a.Chat.AddMember(c.Context(), c.Caller, id, username)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusCreated, succeeded{Success: added.Username + " is in the group " + group.Title + " now."})
}
