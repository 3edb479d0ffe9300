// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/mailbox.h"

#include <stdio.h>

#include <rte_mbuf.h>
#include <rte_ring_elem.h>

static struct rte_ring *ring_new(const char *what, uint8_t worker, unsigned element_size)
{
	char name[RTE_RING_NAMESIZE];
	snprintf(name, sizeof(name), "%s_%u", what, worker);
	return rte_ring_create_elem(
		name, element_size, MAILBOX_SIZE, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

bool mailbox_init(struct mailbox *mailbox, uint8_t worker)
{
	mailbox->to_worker = ring_new("to_worker", worker, sizeof(struct worker_mail));
	mailbox->to_control = ring_new("to_control", worker, sizeof(struct control_mail));
	return mailbox->to_worker && mailbox->to_control;
}

void mailbox_fini(struct mailbox *mailbox)
{
	struct worker_mail mail;
	while (mailbox->to_worker && worker_mail_take(mailbox, &mail))
		if (mail.type == MAIL_SEND)
			rte_pktmbuf_free(mail.mbuf);
	rte_ring_free(mailbox->to_worker);
	rte_ring_free(mailbox->to_control);
}

bool worker_mail_put(struct mailbox *mailbox, const struct worker_mail *mail)
{
	if (mail->type != MAIL_RESUME && rte_ring_free_count(mailbox->to_worker) <= MAILBOX_ANSWERS)
		return false;
	return rte_ring_enqueue_elem(mailbox->to_worker, (void *)(uintptr_t)mail, sizeof(*mail)) ==
	       0;
}

bool worker_mail_take(struct mailbox *mailbox, struct worker_mail *mail)
{
	return rte_ring_dequeue_elem(mailbox->to_worker, mail, sizeof(*mail)) == 0;
}

bool control_mail_put(struct mailbox *mailbox, const struct control_mail *mail)
{
	if (mail->type != MAIL_DERIVE &&
		rte_ring_free_count(mailbox->to_control) <= MAILBOX_ANSWERS)
		return false;
	return rte_ring_enqueue_elem(mailbox->to_control, (void *)(uintptr_t)mail, sizeof(*mail)) ==
	       0;
}

bool control_mail_take(struct mailbox *mailbox, struct control_mail *mail)
{
	return rte_ring_dequeue_elem(mailbox->to_control, mail, sizeof(*mail)) == 0;
}
