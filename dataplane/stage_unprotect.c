// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/packet_index.h"
#include "dataplane/hold.h"
#include "dataplane/index_guess.h"
#include "dataplane/stages.h"
#include "dataplane/tokens.h"
#include "dataplane/worker_state.h"

// Where the plaintext goes: over the protected one, or beside it if that is still needed.
static bool packet_plaintext_place(struct worker *worker, struct packet *p)
{
	p->plaintext = p->mbuf;
	if (!p->keep_original)
		return true;
	p->plaintext = rte_pktmbuf_alloc(worker->relay->pool);
	return p->plaintext && rte_pktmbuf_append(p->plaintext, p->len);
}

// Member by member: assigned as a whole the op would be cleared first, with all that only the cipher writes.
static void packet_fill_op(struct packet *p)
{
	struct srtp_op *op = &p->op;
	op->key = p->ctx->key;
	op->salt = p->ctx->salt;
	op->src = p->data;
	op->dst = rte_pktmbuf_mtod(p->plaintext, uint8_t *);
	op->index = p->index;
	op->len = p->trailer.body;
	op->head_len = p->head_len;
	op->suite = p->ctx->by_mki.suite;
	op->protocol = p->protocol;
	op->mki_len = p->trailer.mki_len;
	op->e_flag = false;
	op->user = p;
}

static bool packet_try(struct worker *worker, struct packet *p)
{
	packet_fill_op(p);
	struct srtp_op *op = &p->op;
	return srtp_unprotect_burst(worker->relay->cipher, &op, 1) == 1;
}

// A sender that is a rollover away from the relay's state carries its ROC, or is tried for it where none is carried and
// the stream is new or was silent. One more try, within a limit of its leg: a flood of forged packets costs one cipher pass
// each.
static bool packet_try_second_index(struct worker *worker, struct packet *p)
{
	if (p->second_index == NO_INDEX || p->second_index == p->index)
		return false;
	if (!packet_token_take(worker, p, TOKEN_ROC))
		return false;
	p->index = p->second_index;
	return packet_try(worker, p);
}

// Other guesses of its index for a packet whose tag does not match, if its ciphertext is still
// there. Guesses from packets before it that were verified need no limit: they are of a sender that
// has the key, and cost one more pass for each packet in flight at that moment.
static bool packet_try_others(
	struct worker *worker, struct packet *p, struct packet *const before[], uint16_t n)
{
	if (p->op.status != SRTP_AUTH_FAIL || p->plaintext == p->mbuf)
		return false;
	if (index_guess_again(worker, p, before, n) && packet_try(worker, p))
		return true;
	return packet_try_second_index(worker, p);
}

// The trailer has another reading, under another context: the packet comes again when that is there. True if it waits.
// As many at once as the leg's room takes: the first words of a talker.
static bool packet_read_again(struct worker *worker, struct packet *p)
{
	if (p->op.status != SRTP_AUTH_FAIL || p->other_mki == 0 ||
		!packet_token_take(worker, p, TOKEN_REREAD))
		return false;
	rte_pktmbuf_free(p->plaintext); // beside the original
	p->plaintext = NULL;
	struct key_name name = packet_key_name(p, p->key, p->other_mki);
	return hold_packet(worker, p, &name) == DROP_NONE;
}

// A packet with an old SEQ that was tried one ROC further, because its stream was silent: it is what its SEQ says.
static enum drop_reason auth_fail_reason(const struct packet *p)
{
	if (p->second_index == NO_INDEX || p->trailer.has_roc || !p->stream)
		return DROP_AUTH_FAIL;
	const uint64_t estimate = packet_index_estimate(p->next, rtp_seq(p->data));
	const enum drop_reason reason = replay_reason(replay_check(&p->stream->replay, estimate));
	return reason != DROP_NONE ? reason : DROP_AUTH_FAIL;
}

static enum drop_reason op_reason(const struct packet *p)
{
	switch (p->op.status) {
	case SRTP_AUTH_FAIL:
		return auth_fail_reason(p);
	case SRTP_INDEX_LIMIT:
		return DROP_INDEX_LIMIT;
	case SRTP_CIPHER_FAIL:
		return DROP_CIPHER_FAIL;
	default:
		return DROP_SRTP_SHORT;
	}
}

static bool packet_take_plaintext(struct packet *p)
{
	p->plaintext_len = p->op.len;
	mbuf_cut(p->plaintext, p->plaintext_len); // it had p->len octets
	return p->protocol == SRTP_RTP ||
	       rtcp_compound_ok(rte_pktmbuf_mtod(p->plaintext, const uint8_t *), p->plaintext_len);
}

static inline void packet_settle(struct worker *worker, struct packet *p)
{
	if (unlikely(p->unsettled))
		worker->n_unsettled--;
	p->unsettled = false;
}

uint16_t stage_unprotect(struct worker *worker, struct packet *packets[], uint16_t n,
	struct srtp_op *ops[], uint16_t *n_ops)
{
	uint16_t kept = 0;
	for (uint16_t i = 0; i < n; i++) {
		struct packet *p = packets[i];
		if (!p->decrypt) {
			// Plain packets are plaintext as they came; of opaque ones there is none.
			p->plaintext = p->in->mode == LEG_PLAIN ? p->mbuf : NULL;
			p->plaintext_len = p->len;
		} else if (packet_plaintext_place(worker, p)) {
			packet_fill_op(p);
			ops[(*n_ops)++] = &p->op;
		} else {
			packet_settle(worker, p);
			worker_drop(worker, p, DROP_NO_BUFFER);
			continue;
		}
		packets[kept++] = p;
	}
	return kept;
}

uint16_t stage_verify(struct worker *worker, struct packet *packets[], uint16_t n)
{
	uint16_t out = 0;
	for (uint16_t i = 0; i < n; i++) {
		struct packet *p = packets[i];
		enum drop_reason reason = DROP_NONE;
		packet_settle(worker, p);
		if (p->decrypt && p->op.status != SRTP_OK &&
			!packet_try_others(worker, p, packets, out)) {
			if (packet_read_again(worker, p))
				continue;
			reason = op_reason(p);
		} else if (p->decrypt && !packet_take_plaintext(p)) {
			reason = DROP_MALFORMED_CLEAR;
		}
		if (reason == DROP_NONE)
			packets[out++] = p;
		else
			worker_drop(worker, p, reason);
	}
	return out;
}
