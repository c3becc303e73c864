//! `Admin`: what root may do.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use twinlock_proto::v1::{
    self, AcceptClockRequest, AccountRequest, AssignTokenRequest, AuditEntry, AuditRequest,
    BackupStoreRequest, Bypass, BypassRequest, CheckStoreRequest, Chunk, ContactRequest, DaemonState,
    ExemptRequest, ExplainRequest, Explanation, GroupInvitation, InviteRequest, ListAccountsRequest,
    ListProvidersRequest, ListTokensRequest, MigrationFile, OpenAccountRequest, OpenRoleRequest,
    ProviderTest, Providers, ProvisionRequest, Provisioned, RequireRequest, ResetResult, ResyncTokenRequest,
    RoleOpening, RotateKeyRequest, Rotation, ShowDaemonRequest, StackChange, StackChangeRecorded,
    StoreReport, TestProviderRequest, TokenFile, TokenImport, TokenRequest, TokenResync, UnlockResult,
    admin_server,
};

use super::{
    Ports,
    status::{Undecided, undecided},
    tokens,
};
use crate::{access, audit};

pub(super) struct Service {
    ports: Arc<Ports>,
    stop: CancellationToken,
}

impl Service {
    pub(super) const fn new(ports: Arc<Ports>, stop: CancellationToken) -> Self {
        Self { ports, stop }
    }
}

#[tonic::async_trait]
impl admin_server::Admin for Service {
    type ListAccountsStream = ReceiverStream<Result<v1::Account, Status>>;
    type ReadAuditStream = ReceiverStream<Result<AuditEntry, Status>>;
    type InviteGroupStream = ReceiverStream<Result<GroupInvitation, Status>>;
    type ListTokensStream = ReceiverStream<Result<v1::Token, Status>>;
    type MigrateStream = ReceiverStream<Result<v1::Migration, Status>>;
    type BackupStoreStream = ReceiverStream<Result<Chunk, Status>>;

    async fn list_accounts(
        &self,
        request: Request<ListAccountsRequest>,
    ) -> Result<Response<Self::ListAccountsStream>, Status> {
        let administrator = access::administrator(&request)?;
        let (sender, receiver) = mpsc::channel(16);
        let (ports, request) = (Arc::clone(&self.ports), request.into_inner());
        tokio::spawn(async move {
            if let Err(error) = ports.list(&administrator, &request, &sender).await {
                let _ = sender.send(Err(undecided(&error))).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn show_account(&self, request: Request<AccountRequest>) -> Result<Response<v1::Account>, Status> {
        let administrator = access::administrator(&request)?;
        let answer = self.ports.show(&administrator, request.get_ref()).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn invite_user(&self, request: Request<InviteRequest>) -> Result<Response<v1::Invitation>, Status> {
        let administrator = access::administrator(&request)?;
        let answer = self.ports.invite(&administrator, request.get_ref()).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn invite_group(
        &self,
        request: Request<InviteRequest>,
    ) -> Result<Response<Self::InviteGroupStream>, Status> {
        let administrator = access::administrator(&request)?;
        let (sender, receiver) = mpsc::channel(4);
        let (ports, request) = (Arc::clone(&self.ports), request.into_inner());
        tokio::spawn(async move {
            if let Err(error) = ports.invite_group(&administrator, &request, &sender).await {
                let _ = sender.send(Err(undecided(&error))).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn adopt_account(&self, request: Request<AccountRequest>) -> Result<Response<v1::Account>, Status> {
        let administrator = access::administrator(&request)?;
        let answer = self.ports.adopt(&administrator, request.get_ref()).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn purge_account(
        &self,
        request: Request<AccountRequest>,
    ) -> Result<Response<v1::PurgeResult>, Status> {
        let administrator = access::administrator(&request)?;
        let answer = self.ports.purge(&administrator, request.get_ref()).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn provision_totp(
        &self,
        request: Request<ProvisionRequest>,
    ) -> Result<Response<Provisioned>, Status> {
        let administrator = access::administrator(&request)?;
        let answer = self.ports.provision(&administrator, request.get_ref()).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn reset_account(&self, request: Request<AccountRequest>) -> Result<Response<ResetResult>, Status> {
        let administrator = access::administrator(&request)?;
        let answer = self.ports.reset(&administrator, request.get_ref()).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn unlock_account(
        &self,
        request: Request<AccountRequest>,
    ) -> Result<Response<UnlockResult>, Status> {
        let administrator = access::administrator(&request)?;
        let answer = self.ports.unlock(&administrator, request.get_ref()).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn issue_bypass(&self, request: Request<BypassRequest>) -> Result<Response<Bypass>, Status> {
        let administrator = access::administrator(&request)?;
        let answer = async {
            let named = self.ports.named(&administrator, &request.get_ref().user).await?;
            let of = (named.account.name.as_str(), named.account.uid);
            self.ports.issue_bypass(&administrator, of, request.get_ref()).await
        };
        answer.await.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn require_account(
        &self,
        request: Request<RequireRequest>,
    ) -> Result<Response<v1::Account>, Status> {
        let administrator = access::administrator(&request)?;
        let answer = self.ports.require(&administrator, request.get_ref()).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn exempt_account(&self, request: Request<ExemptRequest>) -> Result<Response<v1::Account>, Status> {
        let administrator = access::administrator(&request)?;
        let answer = self.ports.exempt(&administrator, request.get_ref()).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn open_account(
        &self,
        request: Request<OpenAccountRequest>,
    ) -> Result<Response<v1::Account>, Status> {
        let administrator = access::administrator(&request)?;
        let answer = self.ports.open_account(&administrator, request.get_ref()).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn set_contact(&self, request: Request<ContactRequest>) -> Result<Response<v1::Account>, Status> {
        let administrator = access::administrator(&request)?;
        let answer = self.ports.set_contacts(&administrator, request.get_ref()).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn import_tokens(
        &self,
        request: Request<Streaming<TokenFile>>,
    ) -> Result<Response<TokenImport>, Status> {
        let administrator = access::administrator(&request)?;
        let answer = self.ports.import_tokens(&administrator, request.into_inner()).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn list_tokens(
        &self,
        request: Request<ListTokensRequest>,
    ) -> Result<Response<Self::ListTokensStream>, Status> {
        access::administrator(&request)?;
        let tokens = self.ports.store.tokens().await.map_err(|error| undecided(&error.into()))?;
        let (sender, receiver) = mpsc::channel(16);
        tokio::spawn(async move {
            for token in tokens {
                if sender.send(Ok(tokens::described(token))).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn assign_token(
        &self,
        request: Request<AssignTokenRequest>,
    ) -> Result<Response<v1::Account>, Status> {
        let administrator = access::administrator(&request)?;
        let answer = self.ports.assign_token(&administrator, request.get_ref()).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn resync_token(
        &self,
        request: Request<ResyncTokenRequest>,
    ) -> Result<Response<TokenResync>, Status> {
        let administrator = access::administrator(&request)?;
        let answer = self.ports.resync_token(&administrator, request.get_ref()).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn revoke_token(&self, request: Request<TokenRequest>) -> Result<Response<v1::Token>, Status> {
        let administrator = access::administrator(&request)?;
        let answer = self.ports.revoke_token(&administrator, request.get_ref()).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn migrate(
        &self,
        request: Request<Streaming<MigrationFile>>,
    ) -> Result<Response<Self::MigrateStream>, Status> {
        let administrator = access::administrator(&request)?;
        let former = self.ports.former_file(&administrator, request.into_inner()).await;
        let former = former.map_err(|error| undecided(&error))?;
        let (sender, receiver) = mpsc::channel(16);
        let ports = Arc::clone(&self.ports);
        tokio::spawn(async move {
            if let Err(error) = ports.take_over(&administrator, former, &sender).await {
                let _ = sender.send(Err(undecided(&error))).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn list_providers(
        &self,
        request: Request<ListProvidersRequest>,
    ) -> Result<Response<Providers>, Status> {
        let administrator = access::administrator(&request)?;
        Ok(Response::new(self.ports.providers(&administrator).await))
    }

    async fn test_provider(
        &self,
        request: Request<TestProviderRequest>,
    ) -> Result<Response<ProviderTest>, Status> {
        let administrator = access::administrator(&request)?;
        let answer = self.ports.test_provider(&administrator, request.get_ref()).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn open_role(&self, request: Request<OpenRoleRequest>) -> Result<Response<RoleOpening>, Status> {
        let administrator = access::administrator(&request)?;
        let answer = self.ports.open_role(&administrator, request.get_ref()).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn explain_policy(
        &self,
        request: Request<ExplainRequest>,
    ) -> Result<Response<Explanation>, Status> {
        let administrator = access::administrator(&request)?;
        let answer = self.ports.explain(&administrator, request.into_inner()).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn accept_clock(
        &self,
        request: Request<AcceptClockRequest>,
    ) -> Result<Response<DaemonState>, Status> {
        let administrator = access::administrator(&request)?;
        let answer = async {
            let before = self.ports.trust_in_clock().sentence();
            self.ports.accept_clock().await?;
            self.ports.note_openings().await?;
            let reason = format!("accepted; it was {before}");
            let record = self.ports.record(&administrator, audit::Event::Clock, "", "", &reason);
            self.ports.store.append(record).await?;
            self.ports.state(&administrator).await
        };
        answer.await.map(Response::new).map_err(|error: Undecided| undecided(&error))
    }

    async fn show_daemon(
        &self,
        request: Request<ShowDaemonRequest>,
    ) -> Result<Response<DaemonState>, Status> {
        let administrator = access::administrator(&request)?;
        let answer = self.ports.state(&administrator).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn read_audit(
        &self,
        request: Request<AuditRequest>,
    ) -> Result<Response<Self::ReadAuditStream>, Status> {
        let administrator = access::administrator(&request)?;
        let (sender, receiver) = mpsc::channel(16);
        let (ports, stop) = (Arc::clone(&self.ports), self.stop.clone());
        tokio::spawn(async move {
            let reading = ports.read_audit(&administrator, request.into_inner(), &sender);
            tokio::select! {
                () = stop.cancelled() => {}
                result = reading => if let Err(error) = result {
                    let _ = sender.send(Err(undecided(&error))).await;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn check_store(
        &self,
        request: Request<CheckStoreRequest>,
    ) -> Result<Response<StoreReport>, Status> {
        let administrator = access::administrator(&request)?;
        let answer = self.ports.check_store(&administrator).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn backup_store(
        &self,
        request: Request<BackupStoreRequest>,
    ) -> Result<Response<Self::BackupStoreStream>, Status> {
        let administrator = access::administrator(&request)?;
        let (sender, receiver) = mpsc::channel(4);
        let ports = Arc::clone(&self.ports);
        tokio::spawn(async move { ports.send_backup(&administrator, &sender).await });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn rotate_key(&self, request: Request<RotateKeyRequest>) -> Result<Response<Rotation>, Status> {
        let administrator = access::administrator(&request)?;
        let ports = Arc::clone(&self.ports);
        // In a task of its own: who goes away does not leave it half done.
        let rotation = tokio::spawn(async move { ports.rotate_key(&administrator).await });
        let answer = rotation.await.map_err(|error| Status::internal(error.to_string()))?;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }

    async fn record_stack_change(
        &self,
        request: Request<StackChange>,
    ) -> Result<Response<StackChangeRecorded>, Status> {
        let administrator = access::administrator(&request)?;
        let answer = self.ports.record_stack_change(&administrator, &request.into_inner()).await;
        answer.map(Response::new).map_err(|error| undecided(&error))
    }
}
