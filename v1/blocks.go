package v1

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/caddymsg/messaging/chat"
)

// Block says that one does not want to hear from somebody.
type Block struct {
	Username  string    `json:"username" example:"bob"`
	UserID    int64     `json:"user_id" example:"2"`
	CreatedAt timestamp `json:"created_at"`
}

func newBlock(b chat.Block) Block {
	return Block{Username: b.Username, UserID: b.BlockedID, CreatedAt: timestamp(b.CreatedAt)}
}

type blockInput struct {
	Username string `path:"username" example:"bob"`
}

type blocksInput struct {
	OffsetQuery
}

type blockOutput struct {
	Body Block
}

type blocksOutput struct {
	Body []Block
}

func (a *API) registerBlocks() {
	tag := func(op huma.Operation) huma.Operation {
		op.Tags = []string{"blocks"}
		return a.signedIn(op)
	}
	register(a, tag(a.operation(http.MethodGet, "/v1/blocks", "list-blocks",
		"List whom one has blocked", 400)), a.listBlocks)
	register(a, tag(a.operation(http.MethodPut, "/v1/blocks/{username}", "block",
		"Keep somebody from writing to one alone, and from adding one to groups", 400, 404)), a.block)
	register(a, tag(a.operation(http.MethodDelete, "/v1/blocks/{username}", "unblock",
		"Take a block back", 404)), a.unblock)
}

func (a *API) listBlocks(ctx context.Context, in *blocksInput) (*blocksOutput, error) {
	blocks, err := a.chat.Blocks(ctx, callerOf(ctx), in.Limit, in.Offset)
	if err != nil {
		return nil, err
	}
	out := &blocksOutput{Body: make([]Block, 0, len(blocks))}
	for _, b := range blocks {
		out.Body = append(out.Body, newBlock(b))
	}
	return out, nil
}

func (a *API) block(ctx context.Context, in *blockInput) (*blockOutput, error) {
	block, err := a.chat.Block(ctx, callerOf(ctx), in.Username)
	if err != nil {
		return nil, err
	}
	return &blockOutput{Body: newBlock(block)}, nil
}

func (a *API) unblock(ctx context.Context, in *blockInput) (*empty, error) {
	return &empty{}, a.chat.Unblock(ctx, callerOf(ctx), in.Username)
}
